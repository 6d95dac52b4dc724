//! The shapes of requests: where in them lengths are, and in which versions.
//!
//! The tables beside this file are made by `shapes.py`; this is what they are made of.

mod access;
mod admin;
pub(super) mod consumers;
mod groups;
mod records;
mod shares;
mod transactions;

/// A request.
#[derive(Debug)]
pub(crate) struct Request {
    pub key: i16,
    /// From this version on, lengths are varints and structures end with fields by number.
    pub flexible_since: i16,
    pub fields: &'static [Field],
}

/// A field of a structure.
#[derive(Debug)]
pub(crate) struct Field {
    pub since: i16,
    /// The last version that has it.
    pub until: i16,
    /// Known by a number and at the structure's end, if at all.
    pub tag: Option<u32>,
    pub shape: Shape,
}

/// How a field is encoded.
#[derive(Debug)]
pub(crate) enum Shape {
    /// So many bytes.
    Fixed(usize),
    String,
    Bytes,
    /// An array of so many bytes each.
    Fixeds(usize),
    Strings,
    Struct(&'static [Field]),
    /// One, or none.
    Option(&'static [Field]),
    Structs(&'static [Field]),
}

/// As [`Field::until`]: the field is still there.
pub(crate) const END: i16 = i16::MAX;

impl Shape {
    const fn since(self, version: i16) -> Field {
        self.always().since(version)
    }

    const fn until(self, version: i16) -> Field {
        Field {
            until: version,
            ..self.always()
        }
    }

    const fn always(self) -> Field {
        Field {
            since: 0,
            until: END,
            tag: None,
            shape: self,
        }
    }
}

impl Field {
    const fn since(self, version: i16) -> Field {
        Field {
            since: version,
            ..self
        }
    }

    const fn tagged(self, tag: u32) -> Field {
        Field {
            tag: Some(tag),
            ..self
        }
    }

    pub(super) fn is_in(&self, version: i16) -> bool {
        self.since <= version && version <= self.until
    }
}

/// The shape of a request by its key.
pub(crate) fn find(key: i16) -> Option<&'static Request> {
    FAMILIES
        .iter()
        .flat_map(|family| family.iter())
        .find(|request| request.key == key)
}

const FAMILIES: &[&[Request]] = &[
    records::RECORDS,
    groups::GROUPS,
    transactions::TRANSACTIONS,
    shares::SHARES,
    admin::ADMIN,
    access::ACCESS,
];
