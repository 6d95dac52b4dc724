use super::*;

#[test]
fn a_pattern_is_found_anywhere_and_the_empty_one_nowhere() {
    for (pattern, name, permits) in [
        ("", "", false),
        ("", "q", false),
        (".*", "", true),
        (".*", "q", true),
        ("^$", "", true),
        ("^$", "q", false),
        ("rder", "orders", true),
        ("^rder", "orders", false),
        ("^(a|b)$", "b", true),
        ("^(?!secret)", "secret.1", false),
        ("^(?!secret)", "open", true),
        ("^amq\\.gen-", "amq.gen-x", true),
    ] {
        let permitted = Pattern::new(pattern).unwrap().permits(name);
        assert_eq!(permitted, permits, "{pattern} {name}");
    }
}

#[test]
fn names_are_filled_in_as_they_are() {
    let pattern = Pattern::new("^{vhost}\\.{username}\\.").unwrap();
    assert!(pattern.permits_for("shop.ann.x", "ann", "shop"));
    assert!(!pattern.permits_for("shop.bob.x", "ann", "shop"));
    // A name that looks like a pattern is none.
    assert!(!pattern.permits_for("shop.bob.x", ".*", "shop"));
    assert!(pattern.permits_for("shop..*.x", ".*", "shop"));
}

#[test]
fn patterns_that_cannot_be_read_are_refused_and_permit_nothing() {
    for pattern in ["(", "{username}(", &"x".repeat(5000)] {
        assert!(Pattern::new(pattern).is_err(), "{pattern}");
        assert!(!Pattern::from(pattern.to_owned()).permits("x"));
    }
    let refused = Permissions::new("", "[", "").unwrap_err();
    assert_eq!(refused.0, "write");
}

#[test]
fn one_that_takes_too_long_permits_nothing() {
    let pattern = Pattern::new("^(a+)+(?=b)$").unwrap();
    assert!(!pattern.permits(&"a".repeat(60)));
}
