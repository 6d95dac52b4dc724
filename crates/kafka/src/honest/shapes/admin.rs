//! Shapes of requests: admin.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const ADMIN: &[Request] = &[
    // ApiVersionsRequest
    Request {
        key: 18,
        flexible_since: 3,
        fields: &[Shape::String.since(3), Shape::String.since(3)],
    },
    // CreateTopicsRequest
    Request {
        key: 19,
        flexible_since: 5,
        fields: &[
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Fixed(6).always(),
                Shape::Structs(&[Shape::Fixed(4).always(), Shape::Fixeds(4).always()]).always(),
                Shape::Structs(&[Shape::String.always(), Shape::String.always()]).always(),
            ])
            .always(),
            Shape::Fixed(4).always(),
            Shape::Fixed(1).since(1),
        ],
    },
    // DeleteTopicsRequest
    Request {
        key: 20,
        flexible_since: 4,
        fields: &[
            Shape::Structs(&[Shape::String.since(6), Shape::Fixed(16).since(6)]).since(6),
            Shape::Strings.until(5),
            Shape::Fixed(4).always(),
        ],
    },
    // DescribeConfigsRequest
    Request {
        key: 32,
        flexible_since: 4,
        fields: &[
            Shape::Structs(&[
                Shape::Fixed(1).always(),
                Shape::String.always(),
                Shape::Strings.always(),
            ])
            .always(),
            Shape::Fixed(1).since(1),
            Shape::Fixed(1).since(3),
        ],
    },
    // AlterConfigsRequest
    Request {
        key: 33,
        flexible_since: 2,
        fields: &[
            Shape::Structs(&[
                Shape::Fixed(1).always(),
                Shape::String.always(),
                Shape::Structs(&[Shape::String.always(), Shape::String.always()]).always(),
            ])
            .always(),
            Shape::Fixed(1).always(),
        ],
    },
    // CreatePartitionsRequest
    Request {
        key: 37,
        flexible_since: 2,
        fields: &[
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Fixed(4).always(),
                Shape::Structs(&[Shape::Fixeds(4).always()]).always(),
            ])
            .always(),
            Shape::Fixed(5).always(),
        ],
    },
    // ElectLeadersRequest
    Request {
        key: 43,
        flexible_since: 2,
        fields: &[
            Shape::Fixed(1).since(1),
            Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always(),
            Shape::Fixed(4).always(),
        ],
    },
    // IncrementalAlterConfigsRequest
    Request {
        key: 44,
        flexible_since: 1,
        fields: &[
            Shape::Structs(&[
                Shape::Fixed(1).always(),
                Shape::String.always(),
                Shape::Structs(&[
                    Shape::String.always(),
                    Shape::Fixed(1).always(),
                    Shape::String.always(),
                ])
                .always(),
            ])
            .always(),
            Shape::Fixed(1).always(),
        ],
    },
    // AlterPartitionReassignmentsRequest
    Request {
        key: 45,
        flexible_since: 0,
        fields: &[
            Shape::Fixed(4).always(),
            Shape::Fixed(1).since(1),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Structs(&[Shape::Fixed(4).always(), Shape::Fixeds(4).always()]).always(),
            ])
            .always(),
        ],
    },
    // ListPartitionReassignmentsRequest
    Request {
        key: 46,
        flexible_since: 0,
        fields: &[
            Shape::Fixed(4).always(),
            Shape::Structs(&[Shape::String.always(), Shape::Fixeds(4).always()]).always(),
        ],
    },
    // DescribeQuorumRequest
    Request {
        key: 55,
        flexible_since: 0,
        fields: &[Shape::Structs(&[
            Shape::String.always(),
            Shape::Structs(&[Shape::Fixed(4).always()]).always(),
        ])
        .always()],
    },
    // UpdateFeaturesRequest
    Request {
        key: 57,
        flexible_since: 0,
        fields: &[
            Shape::Fixed(4).always(),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Fixed(2).always(),
                Shape::Fixed(1).until(0),
                Shape::Fixed(1).since(1),
            ])
            .always(),
            Shape::Fixed(1).since(1),
        ],
    },
    // DescribeClusterRequest
    Request {
        key: 60,
        flexible_since: 0,
        fields: &[
            Shape::Fixed(1).always(),
            Shape::Fixed(1).since(1),
            Shape::Fixed(1).since(2),
        ],
    },
    // ListConfigResourcesRequest
    Request {
        key: 74,
        flexible_since: 0,
        fields: &[Shape::Fixeds(1).since(1)],
    },
    // DescribeTopicPartitionsRequest
    Request {
        key: 75,
        flexible_since: 0,
        fields: &[
            Shape::Structs(&[Shape::String.always()]).always(),
            Shape::Fixed(4).always(),
            Shape::Option(&[Shape::String.always(), Shape::Fixed(4).always()]).always(),
        ],
    },
];
