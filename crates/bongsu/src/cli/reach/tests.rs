use std::os::unix::fs::PermissionsExt as _;

use super::*;

fn place(reach: &Reach, variables: &[(&str, &str)], kept: Credentials) -> Result<Place, Failure> {
    let of = |name: &str| {
        let found = variables.iter().find(|(known, _)| *known == name);
        found.map(|(_, value)| (*value).to_owned())
    };
    reach.place_with(of, kept)
}

#[test]
fn the_command_line_goes_before_the_environment_before_the_file() {
    let kept = || Credentials {
        url: Some("http://kept:1".to_owned()),
        user: Some("kept".to_owned()),
        password: Some("kept's".to_owned()),
        ca_file: None,
    };
    let found = place(&Reach::default(), &[], Credentials::default()).expect("defaults");
    assert_eq!((&*found.url, &*found.user), (URL_USUAL, "guest"));
    assert_eq!((&*found.password, &*found.space), ("guest", "/"));
    let found = place(&Reach::default(), &[], kept()).expect("the file's");
    assert_eq!((&*found.url, &*found.user), ("http://kept:1", "kept"));
    assert_eq!(found.password, "kept's");
    let variables = [
        ("BONGSU_URL", "https://set"),
        ("BONGSU_USER", "set"),
        ("BONGSU_PASSWORD", "set's"),
        ("BONGSU_SPACE", "s"),
    ];
    let found = place(&Reach::default(), &variables, kept()).expect("the environment's");
    assert_eq!((&*found.url, &*found.user), ("https://set", "set"));
    assert_eq!((&*found.password, &*found.space), ("set's", "s"));
    let said = Reach {
        url: Some("http://u%40x:p%3a@said:7/".to_owned()),
        space: Some("t".to_owned()),
        ..Reach::default()
    };
    let found = place(&said, &variables, kept()).expect("the command line's");
    assert_eq!((&*found.url, &*found.user), ("http://said:7", "u@x"));
    assert_eq!((&*found.password, &*found.space), ("p:", "t"));
}

#[test]
fn what_is_no_url_is_refused() {
    for url in [
        "there",
        "ftp://there",
        "http://",
        "http://:15672",
        "http://u:p@",
    ] {
        let reach = Reach {
            url: Some(url.to_owned()),
            ..Reach::default()
        };
        let failure = place(&reach, &[], Credentials::default()).expect_err(url);
        assert_eq!(failure.exit_code(), 2, "{failure}");
        assert!(!failure.to_string().contains("u:p"), "{failure}");
    }
}

#[test]
fn credentials_are_for_nobody_else() {
    let path = std::env::temp_dir().join(format!("bongsu-credentials-{}", std::process::id()));
    let write = |text: &str, mode: u32| {
        std::fs::write(&path, text).expect("written");
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).expect("set");
        Credentials::read(&path)
    };
    let found = write("user = 'u'\npassword = 'secret'\n", 0o600).expect("mine");
    assert_eq!(found.password.as_deref(), Some("secret"));
    let others = write("password = 'secret'", 0o640).expect_err("others may read it");
    assert!(others.to_string().contains("mode 640"), "{others}");
    for wrong in ["password = secret", "passwrd = 'x'", "user = 7"] {
        let failure = write(wrong, 0o600).expect_err(wrong);
        assert!(!failure.to_string().contains("secret"), "{failure}");
    }
    std::fs::remove_file(&path).expect("removed");
    let none = Credentials::read(&path).expect("no file is no failure");
    assert_eq!(none.user, None);
}
