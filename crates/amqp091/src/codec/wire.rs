//! AMQP's scalar types (specification section 4.2.5), big-endian.

/// Why bytes are not what the protocol says they are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformed {
    /// A field reaches past the end of its frame.
    Short,
    /// A short string that is not UTF-8.
    Text,
    /// Bytes behind the last field.
    Trailing,
    /// A class and method number that nobody knows.
    Method(u16, u16),
    /// A property list that does not fit its flags.
    Properties,
}

/// Reads fields off the front of a payload.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// Over a whole payload.
    pub fn new(bytes: &'a [u8]) -> Reader<'a> {
        Reader { rest: bytes }
    }

    /// What has not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// So many bytes.
    ///
    /// # Errors
    /// [`Malformed::Short`].
    pub fn take(&mut self, count: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed::Short)?;
        self.rest = rest;
        Ok(*taken)
    }
}

/// A field type: how it is read and written.
pub trait Field<'a>: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// [`Malformed`].
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed>;

    /// Writes it.
    fn write(&self, out: &mut Vec<u8>);
}

macro_rules! integers {
    ($($type:ty),*) => {$(
        impl<'a> Field<'a> for $type {
            fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
                Ok(<$type>::from_be_bytes(reader.array()?))
            }

            fn write(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_be_bytes());
            }
        }
    )*};
}
integers!(u8, u16, u32, u64);

/// A short string: UTF-8 of at most 255 bytes.
impl<'a> Field<'a> for &'a str {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length = u8::read(reader)?;
        let bytes = reader.take(usize::from(length))?;
        std::str::from_utf8(bytes).map_err(|_| Malformed::Text)
    }

    fn write(&self, out: &mut Vec<u8>) {
        short(self.as_bytes(), out);
    }
}

/// A long string.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Long<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Long<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let length = u32::read(reader)?;
        Ok(Long(reader.take(length as usize)?))
    }

    fn write(&self, out: &mut Vec<u8>) {
        let length = u32::try_from(self.0.len()).expect("below 4 GiB");
        out.extend_from_slice(&length.to_be_bytes());
        out.extend_from_slice(self.0);
    }
}

/// A field table, raw with its length in front; decoded by who needs it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table<'a>(pub &'a [u8]);

impl<'a> Field<'a> for Table<'a> {
    fn read(reader: &mut Reader<'a>) -> Result<Self, Malformed> {
        let whole = reader.rest;
        let length = u32::read(reader)? as usize;
        reader.take(length)?;
        Ok(Table(&whole[..length + 4]))
    }

    fn write(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.0);
    }
}

/// Writes a short string, cut at 255 bytes.
pub fn short(bytes: &[u8], out: &mut Vec<u8>) {
    let bytes = &bytes[..bytes.len().min(255)];
    out.push(bytes.len() as u8);
    out.extend_from_slice(bytes);
}
