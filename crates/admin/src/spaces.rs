//! Which spaces there are, and whose they are to see.

use std::collections::BTreeMap;
use std::sync::Arc;

use bongsu_broker::operator::Operator;
use bongsu_engine::catalog::SpaceId;

use crate::failure::Failure;
use crate::route::Context;

/// A space, RabbitMQ's virtual host.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Space {
    /// Its name.
    pub name: Arc<str>,
    /// Its number.
    pub id: SpaceId,
}

/// Whether who asks sees all spaces.
pub fn sees_all(operator: &Operator) -> bool {
    let user = operator.user();
    user.administrator || user.tags.contains("administrator") || user.tags.contains("monitoring")
}

/// The spaces that are to be seen, by name.
pub fn visible(operator: &Operator) -> Vec<Space> {
    let all = operator.broker().space_names().into_iter();
    let all = all.map(|(id, name)| Space { name, id });
    let sees_all = sees_all(operator);
    let mut spaces: Vec<Space> = all
        .filter(|space| sees_all || operator.may_enter(&space.name))
        .collect();
    spaces.sort();
    spaces
}

/// The space of that name, if it is to be seen; or, for a change, entered.
///
/// # Errors
/// 404: there is none. 401.
pub fn find(operator: &Operator, name: &str, for_change: bool) -> Result<Space, Failure> {
    let all = operator.broker().space_names().into_iter();
    let mut found = all.filter(|(_, other)| &**other == name);
    let Some((id, name)) = found.next() else {
        return Err(match for_change {
            true => Failure::no_space(),
            false => Failure::object_not_found(),
        });
    };
    let may = (!for_change && sees_all(operator)) || operator.may_enter(&name);
    match may {
        true => Ok(Space { name, id }),
        false => Err(Failure::not_authorised(
            "User not authorised to access virtual host",
        )),
    }
}

/// Names of the spaces that a list is about: that of the path, or all that are to be seen.
pub struct Shown {
    names: BTreeMap<SpaceId, Arc<str>>,
    /// The one that the path names.
    pub only: Option<SpaceId>,
}

impl Shown {
    /// What a request may see.
    ///
    /// # Errors
    /// 401: nobody has logged in.
    pub fn of(context: &Context) -> Result<Shown, Failure> {
        Ok(match &context.space {
            Some(space) => Shown {
                names: BTreeMap::from([(space.id, space.name.clone())]),
                only: Some(space.id),
            },
            None => Shown {
                names: visible(context.operator()?)
                    .into_iter()
                    .map(|space| (space.id, space.name))
                    .collect(),
                only: None,
            },
        })
    }

    /// The name of a space, if it is to be seen.
    pub fn name(&self, id: SpaceId) -> Option<&Arc<str>> {
        self.names.get(&id)
    }

    /// All of them.
    pub fn all(&self) -> impl Iterator<Item = (SpaceId, &Arc<str>)> {
        self.names.iter().map(|(id, name)| (*id, name))
    }
}
