//! Shapes of requests: shares.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const SHARES: &[Request] = &[
    // ShareGroupHeartbeatRequest
    Request {
        key: 76,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::String.always(),
            Shape::Strings.always(),
        ],
    },
    // ShareGroupDescribeRequest
    Request {
        key: 77,
        flexible_since: 0,
        fields: &[Shape::Strings.always(), Shape::Fixed(1).always()],
    },
    // ShareFetchRequest
    Request {
        key: 78,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(16).always(),
            Shape::Fixed(8).since(1),
            Shape::Fixed(2).since(2),
            Shape::Structs(&[
                Shape::Fixed(16).always(),
                Shape::Structs(&[
                    Shape::Fixed(4).always(),
                    Shape::Fixed(4).until(0),
                    Shape::Structs(&[Shape::Fixed(16).always(), Shape::Fixeds(1).always()])
                        .always(),
                ])
                .always(),
            ])
            .always(),
            Shape::Structs(&[Shape::Fixed(16).always(), Shape::Fixeds(4).always()]).always(),
        ],
    },
    // ShareAcknowledgeRequest
    Request {
        key: 79,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::Fixed(1).since(2),
            Shape::Structs(&[
                Shape::Fixed(16).always(),
                Shape::Structs(&[
                    Shape::Fixed(4).always(),
                    Shape::Structs(&[Shape::Fixed(16).always(), Shape::Fixeds(1).always()])
                        .always(),
                ])
                .always(),
            ])
            .always(),
        ],
    },
    // DescribeShareGroupOffsetsRequest
    Request {
        key: 90,
        flexible_since: 0,
        fields: &[Shape::Structs(&[
            Shape::String.always(),
            Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always(),
        ])
        .always()],
    },
    // AlterShareGroupOffsetsRequest
    Request {
        key: 91,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[Shape::Fixed(12).always()]).always(),
            ])
            .always(),
        ],
    },
    // DeleteShareGroupOffsetsRequest
    Request {
        key: 92,
        flexible_since: 0,
        fields: &[
            Shape::String.always(),
            Shape::Structs(&[Shape::String.always()]).always(),
        ],
    },
];
