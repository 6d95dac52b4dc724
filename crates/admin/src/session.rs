//! One call of a handler, as the user who asks, in the space that the path names.

use bongsu_broker::SessionHandle;
use bongsu_engine::refused::Kind;
use bongsu_engine::session::{Call, Reply};

use crate::failure::Failure;
use crate::route::Context;

impl Context {
    /// A session of who asks in the path's space.
    ///
    /// # Errors
    /// 401, 404.
    pub fn session(&self) -> Result<SessionHandle, Failure> {
        let space = self.space()?;
        let session = self.operator()?.session(&space.name);
        session.map_err(|refused| self.refused(refused, (Kind::Space, &space.name)))
    }

    /// One call, done and durable; `of` is what it is about.
    ///
    /// # Errors
    /// What the broker refuses, in RabbitMQ's words.
    pub async fn call(&self, call: Call, of: (Kind, &str)) -> Result<Reply, Failure> {
        let mut session = self.session()?;
        self.call_in(&mut session, call, of).await
    }

    /// As [`Context::call`], in a session that goes on.
    ///
    /// # Errors
    /// As there.
    pub async fn call_in(
        &self,
        session: &mut SessionHandle,
        call: Call,
        of: (Kind, &str),
    ) -> Result<Reply, Failure> {
        match self.operator()?.call(session, call).await {
            Reply::Refused(refused) => Err(self.refused(refused, of)),
            reply => Ok(reply),
        }
    }

    fn refused(&self, refused: bongsu_engine::Refused, of: (Kind, &str)) -> Failure {
        let space = self.space.as_ref().map_or("/", |space| &space.name);
        Failure::of(refused, space, of)
    }
}
