//! Whether a request is as long as it says, asked before it is decoded.
//!
//! The decoder takes the length of an array at its word and makes room for it: four bytes
//! could end the process. So a body is walked first, by its shape ([`shapes`], made from
//! Kafka's own definitions), without keeping anything: every length must fit into the bytes
//! that are left, and all elements of a request together into [`ELEMENTS_MAX`], whatever
//! its bytes. What has passed decodes in memory bounded by its own bytes and that constant;
//! what has not is malformed, and nothing was allocated for it.
//!
//! Rejected: a buffer that refuses large reads (the decoder makes room before it reads), and
//! a copy of the decoder with other lines in two places (a hundred generated files to keep).

pub(crate) mod shapes;

use shapes::{END, Field, Request, Shape};

/// Elements of arrays, and fields that are not known, in one request. Numbers in arrays are
/// not counted: they are as large decoded as they were before.
pub const ELEMENTS_MAX: usize = 1 << 18;

/// The request promises what is not in it, or more than anybody needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dishonest;

/// Walks the body of a request.
///
/// # Errors
/// [`Dishonest`], also of a request whose shape is not known.
pub fn request(key: i16, version: i16, body: &[u8]) -> Result<(), Dishonest> {
    walked(shapes::find(key).ok_or(Dishonest)?, version, body).map(|_| ())
}

/// Walks the header of a request: key, version, correlation, client, fields not known.
///
/// # Errors
/// [`Dishonest`].
pub fn header(flexible: bool, bytes: &[u8]) -> Result<(), Dishonest> {
    let mut walk = Walk::new(0, false, bytes);
    walk.skip(8)?;
    walk.string()?;
    if flexible {
        walk.tagged(&[])?;
    }
    Ok(())
}

/// Walks what a classic consumer subscribes to, behind its two bytes of version.
///
/// # Errors
/// [`Dishonest`].
pub fn subscription(version: i16, bytes: &[u8]) -> Result<(), Dishonest> {
    walked(&shapes::consumers::SUBSCRIPTION, version, bytes).map(|_| ())
}

/// Walks what a classic consumer is assigned, behind its two bytes of version.
///
/// # Errors
/// [`Dishonest`].
pub fn assignment(version: i16, bytes: &[u8]) -> Result<(), Dishonest> {
    walked(&shapes::consumers::ASSIGNMENT, version, bytes).map(|_| ())
}

/// How many bytes a message takes.
fn walked(request: &Request, version: i16, bytes: &[u8]) -> Result<usize, Dishonest> {
    let flexible = request.flexible_since != END && version >= request.flexible_since;
    let mut walk = Walk::new(version, flexible, bytes);
    walk.fields(request.fields)?;
    Ok(bytes.len() - walk.rest.len())
}

struct Walk<'a> {
    version: i16,
    flexible: bool,
    rest: &'a [u8],
    elements_left: usize,
}

impl Walk<'_> {
    fn new(version: i16, flexible: bool, rest: &[u8]) -> Walk<'_> {
        Walk {
            version,
            flexible,
            rest,
            elements_left: ELEMENTS_MAX,
        }
    }

    /// Recursion ends where the shapes do: they are constants, five deep.
    fn fields(&mut self, fields: &[Field]) -> Result<(), Dishonest> {
        for field in fields {
            if field.tag.is_none() && field.is_in(self.version) {
                self.shape(&field.shape)?;
            }
        }
        match self.flexible {
            true => self.tagged(fields),
            false => Ok(()),
        }
    }

    fn shape(&mut self, shape: &Shape) -> Result<(), Dishonest> {
        match shape {
            Shape::Fixed(bytes) => self.skip(*bytes),
            Shape::String => self.string(),
            Shape::Bytes => match self.length()? {
                Some(bytes) => self.skip(bytes),
                None => Ok(()),
            },
            Shape::Fixeds(bytes) => match self.length()? {
                Some(count) => self.skip(count.checked_mul(*bytes).ok_or(Dishonest)?),
                None => Ok(()),
            },
            Shape::Strings => {
                for _ in 0..self.elements()? {
                    self.string()?;
                }
                Ok(())
            }
            Shape::Structs(fields) => {
                for _ in 0..self.elements()? {
                    self.fields(fields)?;
                }
                Ok(())
            }
            Shape::Struct(fields) => self.fields(fields),
            Shape::Option(fields) => match self.byte()? {
                1 => self.fields(fields),
                _ => Ok(()),
            },
        }
    }

    /// Fields by number. One that is known is as long as its shape, whatever is said: so it
    /// is decoded.
    fn tagged(&mut self, fields: &[Field]) -> Result<(), Dishonest> {
        let count = self.varint()? as usize;
        // Number and length are a byte each.
        if count > self.rest.len() / 2 {
            return Err(Dishonest);
        }
        for _ in 0..count {
            self.take_elements(1)?;
            let tag = self.varint()?;
            let bytes = self.varint()? as usize;
            let known = fields
                .iter()
                .find(|field| field.tag == Some(tag) && field.is_in(self.version));
            match known {
                Some(field) => self.shape(&field.shape)?,
                None => self.skip(bytes)?,
            }
        }
        Ok(())
    }

    fn string(&mut self) -> Result<(), Dishonest> {
        if self.flexible {
            return match self.length()? {
                Some(bytes) => self.skip(bytes),
                None => Ok(()),
            };
        }
        match i16::from_be_bytes(self.array()?) {
            -1 => Ok(()),
            bytes => self.skip(usize::try_from(bytes).map_err(|_| Dishonest)?),
        }
    }

    /// Elements that follow, none for null: as many as the bytes that are left at most.
    fn elements(&mut self) -> Result<usize, Dishonest> {
        let count = self.length()?.unwrap_or(0);
        if count > self.rest.len() {
            return Err(Dishonest);
        }
        self.take_elements(count)?;
        Ok(count)
    }

    fn take_elements(&mut self, count: usize) -> Result<(), Dishonest> {
        self.elements_left = self.elements_left.checked_sub(count).ok_or(Dishonest)?;
        Ok(())
    }

    /// A length of bytes or an array; `None` is null.
    fn length(&mut self) -> Result<Option<usize>, Dishonest> {
        if self.flexible {
            return Ok((self.varint()? as usize).checked_sub(1));
        }
        match i32::from_be_bytes(self.array()?) {
            -1 => Ok(None),
            length => usize::try_from(length).map(Some).map_err(|_| Dishonest),
        }
    }

    fn varint(&mut self) -> Result<u32, Dishonest> {
        let mut value = 0;
        for shift in [0, 7, 14, 21, 28] {
            let byte = u32::from(self.byte()?);
            value |= (byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(value);
            }
        }
        Err(Dishonest)
    }

    fn byte(&mut self) -> Result<u8, Dishonest> {
        let [byte] = self.array()?;
        Ok(byte)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Dishonest> {
        let (array, rest) = self.rest.split_first_chunk().ok_or(Dishonest)?;
        self.rest = rest;
        Ok(*array)
    }

    fn skip(&mut self, bytes: usize) -> Result<(), Dishonest> {
        self.rest = self.rest.get(bytes..).ok_or(Dishonest)?;
        Ok(())
    }
}

#[cfg(test)]
mod tests;
