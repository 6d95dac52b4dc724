//! Shapes of requests: records.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const RECORDS: &[Request] = &[
    // ProduceRequest
    Request {
        key: 0,
        flexible_since: 9,
        fields: &[
            Shape::String.since(3),
            Shape::Fixed(6).always(),
            Shape::Structs(&[
                Shape::String.until(12),
                Shape::Fixed(16).since(13),
                Shape::Structs(&[Shape::Fixed(4).always(), Shape::Bytes.always()]).always(),
            ])
            .always(),
        ],
    },
    // FetchRequest
    Request {
        key: 1,
        flexible_since: 12,
        fields: &[
            Shape::String.since(12).tagged(0),
            Shape::Fixed(4).until(14),
            Shape::Struct(&[Shape::Fixed(12).since(15)])
                .since(15)
                .tagged(1),
            Shape::Fixed(8).always(),
            Shape::Fixed(4).since(3),
            Shape::Fixed(1).since(4),
            Shape::Fixed(8).since(7),
            Shape::Structs(&[
                Shape::String.until(12),
                Shape::Fixed(16).since(13),
                Shape::Structs(&[
                    Shape::Fixed(4).always(),
                    Shape::Fixed(4).since(9),
                    Shape::Fixed(8).always(),
                    Shape::Fixed(4).since(12),
                    Shape::Fixed(8).since(5),
                    Shape::Fixed(4).always(),
                    Shape::Fixed(16).since(17).tagged(0),
                    Shape::Fixed(8).since(18).tagged(1),
                ])
                .always(),
            ])
            .always(),
            Shape::Structs(&[
                Shape::String.until(12).since(7),
                Shape::Fixed(16).since(13),
                Shape::Fixeds(4).since(7),
            ])
            .since(7),
            Shape::String.since(11),
        ],
    },
    // ListOffsetsRequest
    Request {
        key: 2,
        flexible_since: 6,
        fields: &[
            Shape::Fixed(4).always(),
            Shape::Fixed(1).since(2),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[
                    Shape::Fixed(4).always(),
                    Shape::Fixed(4).since(4),
                    Shape::Fixed(8).always(),
                ])
                .always(),
            ])
            .always(),
            Shape::Fixed(4).since(10),
        ],
    },
    // MetadataRequest
    Request {
        key: 3,
        flexible_since: 9,
        fields: &[
            Shape::Structs(&[Shape::Fixed(16).since(10), Shape::String.always()]).always(),
            Shape::Fixed(1).since(4),
            Shape::Fixed(1).until(10).since(8),
            Shape::Fixed(1).since(8),
        ],
    },
    // DeleteRecordsRequest
    Request {
        key: 21,
        flexible_since: 2,
        fields: &[
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[Shape::Fixed(12).always()]).always(),
            ])
            .always(),
            Shape::Fixed(4).always(),
        ],
    },
    // OffsetForLeaderEpochRequest
    Request {
        key: 23,
        flexible_since: 4,
        fields: &[
            Shape::Fixed(4).since(3),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[
                    Shape::Fixed(4).always(),
                    Shape::Fixed(4).since(2),
                    Shape::Fixed(4).always(),
                ])
                .always(),
            ])
            .always(),
        ],
    },
    // DescribeLogDirsRequest
    Request {
        key: 35,
        flexible_since: 2,
        fields: &[Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always()],
    },
];
