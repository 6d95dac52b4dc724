use super::*;

#[test]
fn a_line_of_the_generator_is_read() {
    let line = "{\"case\":\"idle\",\"idle_mb\":12.5000,\"connection_kb\":0.2500}\n";
    let expected = [
        ("idle_mb".to_owned(), 12.5),
        ("connection_kb".to_owned(), 0.25),
    ];
    assert_eq!(parse(line).unwrap(), expected);
    assert!(parse("").is_err());
    assert!(parse("{\"case\":\"a\"}\n{\"case\":\"b\"}").is_err());
}

#[test]
fn medians_of_odd_even_and_no_rounds() {
    let values = |rounds: &[f64]| median(rounds.to_vec()).map(|m| (m.value, m.spread));
    assert_eq!(values(&[4.0, 1.0, 2.0]), Some((2.0, 0.75)));
    assert_eq!(values(&[3.0, 1.0]), Some((2.0, 0.5)));
    assert_eq!(values(&[]), None);
}
