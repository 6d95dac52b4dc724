use super::*;

const READ: &str = "*1\r\n*2\r\n$5\r\nbench\r\n*2\r\n*2\r\n$3\r\n1-0\r\n*2\r\n$1\r\nb\r\n$2\r\nxy\r\n\
                    *2\r\n$3\r\n1-1\r\n*2\r\n$1\r\nb\r\n$2\r\n\r\n\r\n";

#[test]
fn entries_are_found_however_the_bytes_are_cut() {
    for cut in 0..READ.len() {
        let mut entries = Entries::default();
        let (first, done) = entries.scan(&READ.as_bytes()[..cut]).unwrap();
        assert!(!done, "{cut}");
        let (second, done) = entries.scan(&READ.as_bytes()[first..]).unwrap();
        assert!(done, "{cut}");
        assert_eq!(first + second, READ.len());
        assert_eq!(entries.ids, ["1-0", "1-1"]);
    }
}

#[test]
fn nothing_read_is_an_end_too() {
    let mut entries = Entries::default();
    assert_eq!(entries.scan(b"*-1\r\n").unwrap(), (5, true));
    assert!(entries.ids.is_empty());
}

#[test]
fn an_answer_is_whole_or_not_yet() {
    assert_eq!(answer(b"$3\r\n1-0\r\n:1\r\n").unwrap(), Some(9));
    assert_eq!(answer(b"$3\r\n1-0\r").unwrap(), None);
    assert!(answer(b"-ERR no\r\n").is_err());
}
