use super::*;

#[test]
fn stamps_land_at_the_start_of_each_body() {
    let plan = Plan {
        exchange: String::new(),
        routing_key: "q".into(),
        body_bytes: 100,
        persistent: true,
        window: None,
        rate: None,
        count: None,
        stamped: true,
    };
    let mut chunk = Chunk::encode(&plan);
    chunk.stamp(1, 0x0102_0304_0506_0708);
    let mut input = wire::Input::new(0);
    let two = chunk.first(2);
    input.space()[..two.len()].copy_from_slice(two);
    input.filled(two.len());
    let mut bodies = Vec::new();
    while let Some(frame) = input.next_frame().unwrap() {
        if frame.kind == wire::BODY {
            bodies.push(frame.payload[..10].to_vec());
        }
    }
    assert_eq!(
        bodies,
        [
            [0, 1, 2, 3, 4, 5, 6, 7, 8, 9],
            [1, 2, 3, 4, 5, 6, 7, 8, 8, 9]
        ]
    );
}
