//! What is asked about access, and what is answered. Neutral: the protocols have their own
//! words for it.

use std::sync::Arc;

use super::acl::{Acl, AclFilter};
use super::quota::{EntityQuotas, QuotaChange, QuotaRefused};
use super::scram::Mechanism;

/// See [`Call::Access`](crate::session::Call::Access).
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// A login without a password on the wire begins. Answer: [`Answer::ScramBegun`], for
    /// any user: a stranger learns no names.
    ScramBegin {
        /// With which hash.
        mechanism: Mechanism,
        /// Who.
        user: String,
    },
    /// The login that has begun ends. Answer: [`Answer::ScramEnded`], or refused.
    ScramEnd {
        /// All that was said.
        auth_message: Vec<u8>,
        /// That the client knows the password.
        proof: Vec<u8>,
    },
    /// Who has which credentials. Answer: [`Answer::Credentials`].
    DescribeCredentials {
        /// Of whom; `None`: of all.
        users: Option<Vec<String>>,
    },
    /// Sets and removes credentials: all of those that are as they should be. Answer:
    /// [`Answer::Altered`].
    AlterCredentials {
        /// At most one for each user and mechanism.
        changes: Vec<CredentialChange>,
    },
    /// Adds rules. Answer: [`Answer::AclsAdded`].
    AddAcls(Vec<Acl>),
    /// Which rules there are. Answer: [`Answer::Acls`].
    ListAcls(AclFilter),
    /// Removes rules. Answer: [`Answer::AclsRemoved`].
    RemoveAcls(Vec<AclFilter>),
    /// Which quotas there are. Answer: [`Answer::Quotas`].
    DescribeQuotas,
    /// Sets and removes quotas. Answer: [`Answer::QuotasAltered`].
    AlterQuotas(Vec<QuotaChange>),
}

/// See [`Request::AlterCredentials`].
#[derive(Clone, Debug, PartialEq)]
pub struct CredentialChange {
    /// Whose.
    pub user: String,
    /// Which.
    pub mechanism: Mechanism,
    /// `None`: it is removed.
    pub set: Option<Salted>,
}

/// A password as whoever sets it sends it.
#[derive(Clone, Debug, PartialEq)]
pub struct Salted {
    /// Not empty.
    pub salt: Vec<u8>,
    /// How often it was hashed.
    pub iterations: i64,
    /// As long as the hash.
    pub salted_password: Vec<u8>,
}

/// See [`Request`].
#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// What the client needs for its proof.
    ScramBegun {
        /// Of the user.
        salt: Vec<u8>,
        /// Of the user.
        iterations: u32,
        /// The broker's part of it: printable, not to be guessed.
        nonce: String,
    },
    /// The client is in; this proves the broker to it.
    ScramEnded {
        /// Over all that was said.
        server_signature: Vec<u8>,
    },
    /// By user, as asked; all are in the order of names.
    Credentials(ByUser<Vec<(Mechanism, u32)>>),
    /// By user, in the order in which they came first.
    Altered(ByUser<()>),
    /// In the order of the request.
    AclsAdded(Vec<Result<(), AclRefused>>),
    /// In the order of things.
    Acls(Result<Vec<Arc<Acl>>, AclRefused>),
    /// For each filter, what was removed.
    AclsRemoved(Vec<Result<Vec<Arc<Acl>>, AclRefused>>),
    /// By entity.
    Quotas(Result<Vec<EntityQuotas>, QuotaRefused>),
    /// In the order of the request.
    QuotasAltered(Vec<Result<(), QuotaRefused>>),
}

/// By user: what was found or done, or why not.
pub type ByUser<T> = Vec<(String, Result<T, CredentialRefused>)>;

/// Why credentials are not told or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialRefused {
    /// The user may not.
    Access,
    /// There are none.
    NotFound,
    /// Twice in one request.
    Duplicate,
    /// A user without a name.
    Name,
    /// Fewer hashes than are safe.
    FewIterations,
    /// More hashes than a login may cost.
    ManyIterations,
    /// A salt or a hash that cannot be.
    Malformed,
    /// There are as many users as there may be.
    Full,
    /// The disk failed: restart.
    Storage,
}

/// Why rules are not told or changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AclRefused {
    /// The user may not.
    Access,
    /// A thing or a user that cannot be.
    Malformed,
    /// There are as many rules as there may be.
    Full,
    /// The disk failed: restart.
    Storage,
}
