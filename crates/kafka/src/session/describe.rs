//! What a session says of itself to whoever watches: which client this is, as its requests
//! say it.

use bongsu_engine::session::Effects;
use bongsu_engine::session::describe::{Client, Description};
use bongsu_record::{Arguments, Value};
use kafka_protocol::protocol::StrBytes;

use super::Session;

/// What the client has said of itself, as it was last told.
#[derive(Debug, Default)]
pub(crate) struct Introduced {
    id: Option<StrBytes>,
    software: Option<(StrBytes, StrBytes)>,
    mechanism: &'static str,
}

impl Session {
    /// A request's client id: told if it is another than before.
    pub(super) fn comes_from(&mut self, id: Option<&StrBytes>, effects: &mut Effects) {
        if id.is_some() && id != self.introduced.id.as_ref() {
            self.introduced.id = id.cloned();
            self.introduce(effects);
        }
    }

    /// Name and version of the client's software.
    pub(super) fn runs(&mut self, name: &StrBytes, version: &StrBytes, effects: &mut Effects) {
        self.introduced.software = Some((name.clone(), version.clone()));
        self.introduce(effects);
    }

    /// How it has logged in.
    pub(super) fn came_in_by(&mut self, mechanism: &'static str, effects: &mut Effects) {
        self.introduced.mechanism = mechanism;
        self.introduce(effects);
    }

    fn introduce(&self, effects: &mut Effects) {
        let Introduced {
            id,
            software,
            mechanism,
        } = &self.introduced;
        let text = |text: &StrBytes| Value::Text(text.to_string());
        let mut properties = Arguments::new();
        if let Some(id) = id {
            properties.insert("client_id".to_owned(), text(id));
        }
        if let Some((name, version)) = software {
            properties.insert("product".to_owned(), text(name));
            properties.insert("version".to_owned(), text(version));
        }
        effects.client = Some(Box::new(Client {
            name: id.as_ref().map(StrBytes::to_string).unwrap_or_default(),
            mechanism,
            properties,
            frame_bytes_max: self.settings.request_bytes_max as u64,
            ..Client::default()
        }));
    }

    pub(super) fn described(&self) -> Description {
        Description {
            channels: Vec::new(),
            waiting_answers: self.held.len() as u64 + u64::from(self.then.is_some()),
        }
    }
}
