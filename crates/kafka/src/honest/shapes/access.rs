//! Shapes of requests: access.
//!
//! Made by `shapes.py` from the message definitions of Apache Kafka 4.3.0
//! (clients/src/main/resources/common/message, Apache License 2.0). Not to be edited.

use super::{Request, Shape};

pub(super) const ACCESS: &[Request] = &[
    // SaslHandshakeRequest
    Request {
        key: 17,
        flexible_since: 32767,
        fields: &[Shape::String.always()],
    },
    // DescribeAclsRequest
    Request {
        key: 29,
        flexible_since: 2,
        fields: &[
            Shape::Fixed(1).always(),
            Shape::String.always(),
            Shape::Fixed(1).since(1),
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(2).always(),
        ],
    },
    // CreateAclsRequest
    Request {
        key: 30,
        flexible_since: 2,
        fields: &[Shape::Structs(&[
            Shape::Fixed(1).always(),
            Shape::String.always(),
            Shape::Fixed(1).since(1),
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(2).always(),
        ])
        .always()],
    },
    // DeleteAclsRequest
    Request {
        key: 31,
        flexible_since: 2,
        fields: &[Shape::Structs(&[
            Shape::Fixed(1).always(),
            Shape::String.always(),
            Shape::Fixed(1).since(1),
            Shape::String.always(),
            Shape::String.always(),
            Shape::Fixed(2).always(),
        ])
        .always()],
    },
    // SaslAuthenticateRequest
    Request {
        key: 36,
        flexible_since: 2,
        fields: &[Shape::Bytes.always()],
    },
    // CreateDelegationTokenRequest
    Request {
        key: 38,
        flexible_since: 2,
        fields: &[
            Shape::String.since(3),
            Shape::String.since(3),
            Shape::Structs(&[Shape::String.always(), Shape::String.always()]).always(),
            Shape::Fixed(8).always(),
        ],
    },
    // RenewDelegationTokenRequest
    Request {
        key: 39,
        flexible_since: 2,
        fields: &[Shape::Bytes.always(), Shape::Fixed(8).always()],
    },
    // ExpireDelegationTokenRequest
    Request {
        key: 40,
        flexible_since: 2,
        fields: &[Shape::Bytes.always(), Shape::Fixed(8).always()],
    },
    // DescribeDelegationTokenRequest
    Request {
        key: 41,
        flexible_since: 2,
        fields: &[Shape::Structs(&[Shape::String.always(), Shape::String.always()]).always()],
    },
    // DescribeClientQuotasRequest
    Request {
        key: 48,
        flexible_since: 1,
        fields: &[
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Fixed(1).always(),
                Shape::String.always(),
            ])
            .always(),
            Shape::Fixed(1).always(),
        ],
    },
    // AlterClientQuotasRequest
    Request {
        key: 49,
        flexible_since: 1,
        fields: &[
            Shape::Structs(&[
                Shape::Structs(&[Shape::String.always(), Shape::String.always()]).always(),
                Shape::Structs(&[Shape::String.always(), Shape::Fixed(9).always()]).always(),
            ])
            .always(),
            Shape::Fixed(1).always(),
        ],
    },
    // DescribeUserScramCredentialsRequest
    Request {
        key: 50,
        flexible_since: 0,
        fields: &[Shape::Structs(&[Shape::String.always()]).always()],
    },
    // AlterUserScramCredentialsRequest
    Request {
        key: 51,
        flexible_since: 0,
        fields: &[
            Shape::Structs(&[Shape::String.always(), Shape::Fixed(1).always()]).always(),
            Shape::Structs(&[
                Shape::String.always(),
                Shape::Fixed(5).always(),
                Shape::Bytes.always(),
                Shape::Bytes.always(),
            ])
            .always(),
        ],
    },
];
