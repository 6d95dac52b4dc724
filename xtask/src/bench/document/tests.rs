use super::*;

#[test]
fn only_what_lies_between_the_comments_is_replaced() {
    let document = format!("# Title\n\n{BEGIN}\n| old |\n{END}\n\nprose\n");
    let once = replace(&document, "| new |\n").unwrap();
    assert_eq!(
        once,
        format!("# Title\n\n{BEGIN}\n\n| new |\n\n{END}\n\nprose\n")
    );
    assert_eq!(replace(&once, "| new |\n"), Some(once));
    assert_eq!(replace("# Title\n", "| new |"), None);
    assert_eq!(replace(&format!("{END}\n{BEGIN}\n"), "| new |"), None);
}
