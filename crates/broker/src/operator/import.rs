//! Many things at once, as definitions name them: made in the order in which they need each
//! other, and waited for once.
//!
//! What is there already as it should be stays as it is, so that importing twice is importing
//! once. Whoever plans checks what can be checked before ([`Plan::check`]); what fails then
//! nevertheless ends the import there, and is named.

// Who is refused, or what failed, is worth its bytes: it is once a login, once an import.
#![allow(clippy::result_large_err)]

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use bongsu_engine::Refused;
use bongsu_engine::access::{ADMINISTRATOR, Principal, UserRefused};
use bongsu_engine::catalog::{Input, Owner, Policy, SpaceDefinition, SpaceId};
use bongsu_engine::session::{Binding, DeclareExchange, DeclareQueue};
use bongsu_record::Lsn;

use crate::broker::Broker;
use crate::operator::Operator;
use crate::operator::users::UserChange;

/// What to make. Each thing with where it stands, for whoever is told that it failed.
#[derive(Debug, Default)]
pub struct Plan {
    /// Spaces.
    pub spaces: Vec<(String, SpaceDefinition)>,
    /// Users, then what they may do.
    pub users: Vec<(String, UserChange)>,
    /// Policies by their spaces.
    pub policies: Vec<(String, String, Policy)>,
    /// Exchanges by their spaces.
    pub exchanges: Vec<(String, String, DeclareExchange)>,
    /// Queues by their spaces.
    pub queues: Vec<(String, String, DeclareQueue)>,
    /// Bindings by their spaces.
    pub bindings: Vec<(String, String, Binding)>,
}

/// What ended an import. What came before it has been made.
#[derive(Clone, Debug, PartialEq)]
pub struct ImportFailed {
    /// Where it stands: `queues[3]`.
    pub place: String,
    /// Why.
    pub why: Why,
}

/// Why something could not be made.
#[derive(Clone, Debug, PartialEq)]
#[allow(missing_docs)]
pub enum Why {
    /// In a space.
    Refused {
        space: String,
        refused: Refused,
    },
    User(UserRefused),
}

impl Plan {
    /// How much there is to make.
    pub fn count(&self) -> usize {
        self.spaces.len()
            + self.users.len()
            + self.policies.len()
            + self.exchanges.len()
            + self.queues.len()
            + self.bindings.len()
    }

    /// The spaces that it makes.
    pub fn makes_space(&self, name: &str) -> bool {
        self.spaces.iter().any(|(_, space)| &*space.name == name)
    }
}

impl Broker {
    /// Whoever started the broker: may do everything.
    pub fn own_operator(&self) -> Operator {
        Operator {
            broker: self.clone(),
            user: Arc::new(Principal {
                name: Arc::from(""),
                administrator: true,
                tags: BTreeSet::from([Arc::from(ADMINISTRATOR)]),
                granted: None,
            }),
            host: IpAddr::V4(Ipv4Addr::LOCALHOST),
        }
    }
}

impl Operator {
    /// Makes all of it and waits until it is durable. Rights within spaces are not looked at:
    /// who may import is an administrator.
    ///
    /// # Errors
    /// The first thing that could not be made.
    pub async fn import(&self, plan: Plan) -> Result<(), ImportFailed> {
        let mut last = None;
        let made = self.make(plan, &mut last).await;
        if let Some(lsn) = last {
            self.await_durable(lsn).await;
        }
        made
    }

    async fn make(&self, plan: Plan, last: &mut Option<Lsn>) -> Result<(), ImportFailed> {
        for (place, space) in plan.spaces {
            let known = self.broker.space_named(&space.name);
            if known.is_some_and(|known| *known.definition == space) {
                continue;
            }
            let name = space.name.to_string();
            let put = self.put_space_soon(space).await;
            let (_, lsn) = put.map_err(|refused| failed(&place, &name, refused))?;
            *last = (*last).max(lsn);
        }
        let (places, changes): (Vec<String>, Vec<UserChange>) = plan.users.into_iter().unzip();
        let (results, lsn) = self.change_users_soon(changes).await;
        *last = (*last).max(lsn);
        for (place, result) in places.into_iter().zip(results) {
            result.map_err(|refused| ImportFailed {
                place,
                why: Why::User(refused),
            })?;
        }
        let inputs = Inputs {
            broker: self.broker.clone(),
            policies: plan.policies,
            exchanges: plan.exchanges,
            queues: plan.queues,
            bindings: plan.bindings,
        };
        let made = tokio::task::spawn_blocking(move || inputs.make()).await;
        let (made, lsn) = made.map_err(|_| failed("", "", super::failed()))?;
        *last = (*last).max(lsn);
        made
    }
}

/// What the catalog decides.
struct Inputs {
    broker: Broker,
    policies: Vec<(String, String, Policy)>,
    exchanges: Vec<(String, String, DeclareExchange)>,
    queues: Vec<(String, String, DeclareQueue)>,
    bindings: Vec<(String, String, Binding)>,
}

impl Inputs {
    fn make(self) -> (Result<(), ImportFailed>, Option<Lsn>) {
        let mut last = None;
        let made = self.each(&mut last);
        (made, last)
    }

    fn each(self, last: &mut Option<Lsn>) -> Result<(), ImportFailed> {
        let broker = &self.broker;
        let mut make = |place: &str, space: &str, input: &dyn Fn(SpaceId) -> Input| {
            let id = broker.space(space);
            let made = id.and_then(|id| broker.change(input(id)));
            let (_, lsn) = made.map_err(|refused| failed(place, space, refused))?;
            *last = (*last).max(lsn);
            Ok(())
        };
        for (place, space, policy) in &self.policies {
            make(place, space, &|space| Input::SetPolicy {
                space,
                policy: policy.clone(),
            })?;
        }
        for (place, space, declare) in &self.exchanges {
            make(place, space, &|space| Input::DeclareExchange {
                space,
                declare: declare.clone(),
            })?;
        }
        for (place, space, declare) in &self.queues {
            make(place, space, &|space| Input::DeclareQueue {
                space,
                owner: NOBODY,
                declare: declare.clone(),
                token: broker.token(),
            })?;
        }
        for (place, space, binding) in &self.bindings {
            make(place, space, &|space| Input::Bind {
                space,
                owner: NOBODY,
                binding: binding.clone(),
            })?;
        }
        Ok(())
    }
}

fn failed(place: &str, space: &str, refused: Refused) -> ImportFailed {
    ImportFailed {
        place: place.to_owned(),
        why: Why::Refused {
            space: space.to_owned(),
            refused,
        },
    }
}

/// No session has this number.
const NOBODY: Owner = Owner(0);
