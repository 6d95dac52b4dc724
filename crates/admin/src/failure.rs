//! Why a request is not answered as asked: a status, a word, and a sentence in JSON, as
//! RabbitMQ's management has it: `{"error": "not_found", "reason": "…"}`.

use axum::http::StatusCode;
use bongsu_engine::Refused;

/// See the module's comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Of the response.
    pub status: StatusCode,
    /// For programs.
    pub error: &'static str,
    /// For people.
    pub reason: String,
}

impl Failure {
    /// 400: the request cannot be meant.
    pub fn bad_request(reason: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::BAD_REQUEST,
            error: "bad_request",
            reason: reason.into(),
        }
    }

    /// 401: who asks is not known, or may not use this at all.
    pub fn not_authorised(reason: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::UNAUTHORIZED,
            error: "not_authorised",
            reason: reason.into(),
        }
    }

    /// 404.
    pub fn not_found(reason: impl Into<String>) -> Failure {
        Failure {
            status: StatusCode::NOT_FOUND,
            error: "Object Not Found",
            reason: reason.into(),
        }
    }
}

impl From<Refused> for Failure {
    fn from(refused: Refused) -> Failure {
        match refused {
            Refused::Login { .. } => Failure::not_authorised("Login failed"),
            Refused::NotFound { .. } => Failure::not_found("Not Found"),
            Refused::Denied { .. } => Failure::not_authorised("Access refused"),
            other => Failure::bad_request(format!("{other:?}")),
        }
    }
}
