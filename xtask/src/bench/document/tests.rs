use super::*;

const BEGIN: &str = "<!-- begin -->";

#[test]
fn only_what_lies_between_the_comments_is_replaced() {
    let document = format!("# Title\n\n{BEGIN}\n| old |\n{END}\n\nprose\n");
    let once = replace(&document, BEGIN, "| new |\n").unwrap();
    assert_eq!(
        once,
        format!("# Title\n\n{BEGIN}\n\n| new |\n\n{END}\n\nprose\n")
    );
    assert_eq!(replace(&once, BEGIN, "| new |\n"), Some(once));
    assert_eq!(replace("# Title\n", BEGIN, "| new |"), None);
    assert_eq!(
        replace(&format!("{END}\n{BEGIN}\n"), BEGIN, "| new |"),
        None
    );
}
