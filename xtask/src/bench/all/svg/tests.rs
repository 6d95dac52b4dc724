use super::*;

#[test]
fn texts_are_escaped_and_every_element_is_closed() {
    let mut svg = Svg::new(100.0, 50.0, "a < b & c");
    svg.text((1.0, 2.0), Anchor::Middle, "axis", "x > y");
    svg.bar((1.0, 2.0), (3.0, 4.0), "kafka");
    svg.line(&[(0.0, 1.0), (2.0, 3.0)], "nats");
    let text = svg.finish();
    assert!(text.contains("<title>a &lt; b &amp; c</title>"));
    assert!(text.contains(">x &gt; y</text>"));
    assert!(text.contains(r#"points="0.0,1.0 2.0,3.0""#));
    assert_eq!(text.matches("<circle").count(), 2);
    let opened = text.matches('<').count() - text.matches("</").count();
    let closed = text.matches("/>").count() + text.matches("</").count();
    assert_eq!(opened, closed);
}
