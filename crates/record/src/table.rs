//! AMQP 0-9-1 field tables (specification section 4.2.5.5, with the type letters that
//! RabbitMQ uses: <https://www.rabbitmq.com/amqp-0-9-1-errata>).
//!
//! It stands here and not in the protocol's crate because header blocks of AMQP records
//! are read by others too: a headers exchange, another protocol's session.

use std::fmt;

use crate::value::{Arguments, Value};

/// Why bytes are not a field table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TableMalformed {
    /// A length that reaches past the end.
    Short,
    /// A type letter that nobody uses.
    Type(u8),
    /// A name that is not UTF-8.
    Name,
    /// Tables and arrays nested deeper than [`DEPTH_MAX`].
    Deep,
}

impl fmt::Display for TableMalformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            TableMalformed::Short => f.write_str("a length reaches past the end"),
            TableMalformed::Type(letter) => write!(f, "there is no type {letter:#04x}"),
            TableMalformed::Name => f.write_str("a name is not UTF-8"),
            TableMalformed::Deep => write!(f, "nested deeper than {DEPTH_MAX}"),
        }
    }
}

impl std::error::Error for TableMalformed {}

/// How deep tables and arrays may nest.
pub const DEPTH_MAX: usize = 32;

/// Reads one table with its u32 length in front; returns it and the bytes used.
///
/// # Errors
/// [`TableMalformed`].
pub fn decode(bytes: &[u8]) -> Result<(Arguments, usize), TableMalformed> {
    let mut reader = Reader { rest: bytes };
    let table = reader.table(0)?;
    Ok((table, bytes.len() - reader.rest.len()))
}

/// Reads one value with its type letter in front; `None`, if it is none, or not all.
pub(crate) fn decode_value(bytes: &[u8]) -> Option<Value> {
    let mut reader = Reader { rest: bytes };
    let value = reader.value(0).ok()?;
    reader.rest.is_empty().then_some(value)
}

/// Writes one table with its u32 length in front. Integers become `l` (64 bits).
pub fn encode(table: &Arguments, out: &mut Vec<u8>) {
    let start = out.len();
    out.extend_from_slice(&[0; 4]);
    for (name, value) in table {
        put_name(name, out);
        encode_value(value, out);
    }
    patch_length(out, start);
}

/// Writes a field's name, a longer one cut between characters: a reader refuses names
/// that are not UTF-8.
pub(crate) fn put_name(name: &str, out: &mut Vec<u8>) {
    let name = &name.as_bytes()[..name.floor_char_boundary(255)];
    out.push(name.len() as u8);
    out.extend_from_slice(name);
}

/// Writes a field as it was.
pub(crate) fn put_field(field: Field<'_>, out: &mut Vec<u8>) {
    out.push(u8::try_from(field.name.len()).expect("a field's name was a short string"));
    out.extend_from_slice(field.name);
    out.extend_from_slice(field.value);
}

/// Writes one value with its type letter in front.
pub(crate) fn encode_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Nothing => out.push(b'V'),
        Value::Bool(on) => out.extend_from_slice(&[b't', u8::from(*on)]),
        Value::Int(int) => {
            out.push(b'l');
            out.extend_from_slice(&int.to_be_bytes());
        }
        Value::Float(float) => {
            out.push(b'd');
            out.extend_from_slice(&float.to_be_bytes());
        }
        Value::Decimal { scale, mantissa } => {
            out.extend_from_slice(&[b'D', *scale]);
            out.extend_from_slice(&mantissa.to_be_bytes());
        }
        Value::Text(text) => long_bytes(b'S', text.as_bytes(), out),
        Value::Bytes(bytes) => long_bytes(b'x', bytes, out),
        Value::Time(seconds) => {
            out.push(b'T');
            out.extend_from_slice(&seconds.to_be_bytes());
        }
        Value::List(values) => {
            out.push(b'A');
            let start = out.len();
            out.extend_from_slice(&[0; 4]);
            for value in values {
                encode_value(value, out);
            }
            patch_length(out, start);
        }
        Value::Map(table) => {
            out.push(b'F');
            encode(table, out);
        }
    }
}

fn long_bytes(letter: u8, bytes: &[u8], out: &mut Vec<u8>) {
    out.push(letter);
    out.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    out.extend_from_slice(bytes);
}

/// Writes the length of what stands behind the four bytes at `start` into them.
pub(crate) fn patch_length(out: &mut [u8], start: usize) {
    let length = (out.len() - start - 4) as u32;
    out[start..start + 4].copy_from_slice(&length.to_be_bytes());
}

/// One field of a table, as its bytes are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Field<'a> {
    /// Of at most 255 bytes; not checked to be UTF-8.
    pub name: &'a [u8],
    /// The type letter, then the value. What it contains is not checked.
    pub value: &'a [u8],
}

/// The fields of one table with its u32 length in front, not decoded: whoever changes one
/// header of a message need not look into the others. Ends with the first error.
pub fn fields(table: &[u8]) -> impl Iterator<Item = Result<Field<'_>, TableMalformed>> {
    pieces(table, |reader| {
        let [length] = reader.array()?;
        let name = reader.take(usize::from(length))?;
        let value = reader.raw_value()?;
        Ok(Field { name, value })
    })
}

/// A value with its type letter in front, if it is a text or bytes.
pub fn text(value: &[u8]) -> Option<&[u8]> {
    let (letter, rest) = value.split_first()?;
    let (length, text) = rest.split_first_chunk()?;
    let is_text = matches!(letter, b'S' | b'x');
    (is_text && text.len() == u32::from_be_bytes(*length) as usize).then_some(text)
}

/// The values of one array with its u32 length in front, each with its type letter, not
/// decoded. Ends with the first error.
pub fn elements(array: &[u8]) -> impl Iterator<Item = Result<&[u8], TableMalformed>> {
    pieces(array, Reader::raw_value)
}

/// What stands behind a length, piece by piece.
fn pieces<'a, T>(
    bytes: &'a [u8],
    mut piece: impl FnMut(&mut Reader<'a>) -> Result<T, TableMalformed>,
) -> impl Iterator<Item = Result<T, TableMalformed>> {
    let mut inner = Reader { rest: bytes }.long().map(|rest| Reader { rest });
    std::iter::from_fn(move || {
        let next = match &mut inner {
            Ok(reader) if reader.rest.is_empty() => return None,
            Ok(reader) => piece(reader),
            Err(malformed) => Err(*malformed),
        };
        if next.is_err() {
            inner = Ok(Reader { rest: &[] });
        }
        Some(next)
    })
}

struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> Result<&'a [u8], TableMalformed> {
        let (taken, rest) = self
            .rest
            .split_at_checked(count)
            .ok_or(TableMalformed::Short)?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], TableMalformed> {
        Ok(self.take(N)?.try_into().expect("N bytes were taken"))
    }

    fn long(&mut self) -> Result<&'a [u8], TableMalformed> {
        let length = u32::from_be_bytes(self.array()?);
        self.take(length as usize)
    }

    /// A value with its letter, passed over.
    fn raw_value(&mut self) -> Result<&'a [u8], TableMalformed> {
        let start = self.rest;
        let [letter] = self.array()?;
        let bytes = match letter {
            b'V' => 0,
            b't' | b'b' | b'B' => 1,
            b's' | b'u' => 2,
            b'I' | b'i' | b'f' => 4,
            b'D' => 5,
            b'l' | b'L' | b'd' | b'T' => 8,
            b'S' | b'x' | b'A' | b'F' => u32::from_be_bytes(self.array()?) as usize,
            other => return Err(TableMalformed::Type(other)),
        };
        self.take(bytes)?;
        Ok(&start[..start.len() - self.rest.len()])
    }

    fn table(&mut self, depth: usize) -> Result<Arguments, TableMalformed> {
        if depth > DEPTH_MAX {
            return Err(TableMalformed::Deep);
        }
        let mut inner = Reader { rest: self.long()? };
        let mut table = Arguments::new();
        while !inner.rest.is_empty() {
            let [length] = inner.array()?;
            let name = std::str::from_utf8(inner.take(usize::from(length))?)
                .map_err(|_| TableMalformed::Name)?;
            let value = inner.value(depth)?;
            table.insert(name.to_owned(), value);
        }
        Ok(table)
    }

    fn value(&mut self, depth: usize) -> Result<Value, TableMalformed> {
        let [letter] = self.array()?;
        Ok(match letter {
            b'V' => Value::Nothing,
            b't' => Value::Bool(self.array::<1>()? != [0]),
            b'b' => Value::Int(i64::from(i8::from_be_bytes(self.array()?))),
            b'B' => Value::Int(i64::from(u8::from_be_bytes(self.array()?))),
            b's' => Value::Int(i64::from(i16::from_be_bytes(self.array()?))),
            b'u' => Value::Int(i64::from(u16::from_be_bytes(self.array()?))),
            b'I' => Value::Int(i64::from(i32::from_be_bytes(self.array()?))),
            b'i' => Value::Int(i64::from(u32::from_be_bytes(self.array()?))),
            b'l' | b'L' => Value::Int(i64::from_be_bytes(self.array()?)),
            b'f' => Value::Float(f64::from(f32::from_be_bytes(self.array()?))),
            b'd' => Value::Float(f64::from_be_bytes(self.array()?)),
            b'D' => Value::Decimal {
                scale: self.array::<1>()?[0],
                mantissa: u32::from_be_bytes(self.array()?),
            },
            b'S' => {
                let bytes = self.long()?;
                match std::str::from_utf8(bytes) {
                    Ok(text) => Value::Text(text.to_owned()),
                    Err(_) => Value::Bytes(bytes.to_vec()),
                }
            }
            b'x' => Value::Bytes(self.long()?.to_vec()),
            b'T' => Value::Time(u64::from_be_bytes(self.array()?)),
            b'A' => {
                if depth >= DEPTH_MAX {
                    return Err(TableMalformed::Deep);
                }
                let mut inner = Reader { rest: self.long()? };
                let mut values = Vec::new();
                while !inner.rest.is_empty() {
                    values.push(inner.value(depth + 1)?);
                }
                Value::List(values)
            }
            b'F' => Value::Map(self.table(depth + 1)?),
            other => return Err(TableMalformed::Type(other)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_of_value_survives_a_round_trip() {
        let mut table = Arguments::new();
        for (index, value) in [
            Value::Nothing,
            Value::Bool(true),
            Value::Int(-5),
            Value::Float(1.5),
            Value::Decimal {
                scale: 2,
                mantissa: 314,
            },
            Value::Text("fire".to_owned()),
            Value::Bytes(vec![0, 255]),
            Value::Time(1_700_000_000),
            Value::List(vec![Value::Int(1), Value::Text("x".to_owned())]),
            Value::Map(Arguments::from([("k".to_owned(), Value::Bool(false))])),
        ]
        .into_iter()
        .enumerate()
        {
            table.insert(format!("v{index}"), value);
        }
        let mut bytes = Vec::new();
        encode(&table, &mut bytes);
        assert_eq!(decode(&bytes), Ok((table, bytes.len())));
    }

    /// Passing over a value finds the end that decoding it finds.
    #[test]
    fn fields_are_the_table_in_pieces() {
        let list = Value::List(vec![Value::Int(1), Value::Text("x".to_owned())]);
        let table = Arguments::from([
            ("a".to_owned(), Value::Bool(true)),
            ("b".to_owned(), list.clone()),
            ("c".to_owned(), Value::Nothing),
        ]);
        let mut bytes = Vec::new();
        encode(&table, &mut bytes);
        // One of each width that we do not write ourselves.
        let others = b"\x01db\x07\x01eB\x07\x01fs\x00\x07\x01gu\x00\x07\x01hI\x00\x00\x00\x07\x01ii\x00\x00\x00\x07\x01jL\x00\x00\x00\x00\x00\x00\x00\x07\x01kf\x00\x00\x00\x00";
        bytes.extend_from_slice(others);
        patch_length(&mut bytes, 0);
        let (decoded, _) = decode(&bytes).unwrap();
        let fields: Vec<_> = fields(&bytes).map(Result::unwrap).collect();
        assert_eq!(fields.len(), decoded.len());
        for (field, (name, value)) in fields.iter().zip(&decoded) {
            assert_eq!(field.name, name.as_bytes());
            assert_eq!(decode_value(field.value).as_ref(), Some(value));
        }
        let values: Vec<_> = elements(&fields[1].value[1..])
            .map(Result::unwrap)
            .collect();
        assert_eq!(values, [&b"l\0\0\0\0\0\0\0\x01"[..], b"S\0\0\0\x01x"]);
    }

    #[test]
    fn malformed_pieces_end_it() {
        let of = |bytes: &'static [u8]| fields(bytes).collect::<Vec<_>>();
        assert_eq!(of(b"\0\0"), [Err(TableMalformed::Short)]);
        assert_eq!(of(b"\0\0\0\x09\x01aV"), [Err(TableMalformed::Short)]);
        assert_eq!(of(b"\0\0\0\x03\x01a?"), [Err(TableMalformed::Type(b'?'))]);
        let field = Field {
            name: b"a",
            value: b"V",
        };
        let cut = b"\0\0\0\x09\x01aV\x01bS\0\0\xff";
        assert_eq!(of(cut), [Ok(field), Err(TableMalformed::Short)]);
    }

    #[test]
    fn truncation_and_depth_are_refused() {
        let mut nested = Value::Nothing;
        for _ in 0..40 {
            nested = Value::Map(Arguments::from([("k".to_owned(), nested)]));
        }
        let mut bytes = Vec::new();
        encode(&Arguments::from([("k".to_owned(), nested)]), &mut bytes);
        assert_eq!(decode(&bytes), Err(TableMalformed::Deep));
        assert_eq!(
            decode(&bytes[..bytes.len() - 1]),
            Err(TableMalformed::Short)
        );
    }
}
