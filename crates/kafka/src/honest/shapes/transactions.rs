//! Shapes of requests: transactions.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const TRANSACTIONS: &[Request] = &[
    // InitProducerIdRequest
    Request {
        key: 22,
        flexible_since: 2,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(4).always(),
            Shape::Fixed(10).since(3),
            Shape::Fixed(2).since(6),
        ],
    },
    // AddPartitionsToTxnRequest
    Request {
        key: 24,
        flexible_since: 3,
        fields: &[
            Shape::Structs(&[
                Shape::String.since(4),
                Shape::Fixed(11).since(4),
                Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).since(4),
            ])
            .since(4),
            Shape::String.until(3),
            Shape::Fixed(10).until(3),
            Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).until(3),
        ],
    },
    // AddOffsetsToTxnRequest
    Request {
        key: 25,
        flexible_since: 3,
        fields: &[
            Shape::String.always(),
            Shape::Fixed(10).always(),
            Shape::String.always(),
        ],
    },
    // EndTxnRequest
    Request {
        key: 26,
        flexible_since: 3,
        fields: &[Shape::String.always(), Shape::Fixed(11).always()],
    },
    // TxnOffsetCommitRequest
    Request {
        key: 28,
        flexible_since: 3,
        fields: &[
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(10).always(),
            Shape::Fixed(4).since(3),
            Shape::String.since(3),
            Shape::String.since(3),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[
                    Shape::Fixed(12).always(),
                    Shape::Fixed(4).since(2),
                    Shape::String.always(),
                ])
                .always(),
            ])
            .always(),
        ],
    },
    // DescribeProducersRequest
    Request {
        key: 61,
        flexible_since: 0,
        fields: &[Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always()],
    },
    // DescribeTransactionsRequest
    Request {
        key: 65,
        flexible_since: 0,
        fields: &[Shape::Strings.always()],
    },
    // ListTransactionsRequest
    Request {
        key: 66,
        flexible_since: 0,
        fields: &[
            Shape::Strings.always(),
            Shape::Fixeds(8).always(),
            Shape::Fixed(8).since(1),
            Shape::String.since(2),
        ],
    },
];
