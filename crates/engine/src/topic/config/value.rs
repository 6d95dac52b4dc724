//! What a configuration may be.

/// The type of a configuration's value, and its range.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Type {
    /// `true` or `false`.
    Boolean,
    /// 32 bits, from and to, both included.
    Int(i32, i32),
    /// 64 bits, from and to, both included.
    Long(i64, i64),
    /// A fraction, from and to, both included.
    Double(f64, f64),
    /// One of these words.
    Word(&'static [&'static str]),
    /// Some of these words, none twice, separated by commas; any if none is named.
    List(&'static [&'static str]),
    /// 32 bits, from and to, both included, or a third one beside them.
    Level(i32, i32, i32),
}

/// Why a value is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ValueInvalid {
    /// It is not of the type.
    Type {
        /// `INT`, `LONG`, …
        expected: &'static str,
    },
    /// It is of the type and none of what is accepted: for people.
    Range {
        /// What is.
        accepted: String,
    },
}

impl Type {
    /// Whether a value is one of this type.
    ///
    /// # Errors
    /// [`ValueInvalid`].
    pub fn check(&self, value: &str) -> Result<(), ValueInvalid> {
        let value = value.trim();
        let wrong = ValueInvalid::Type {
            expected: self.name(),
        };
        let is_accepted = match *self {
            Type::Boolean => {
                let is_word = ["true", "false"]
                    .iter()
                    .any(|word| word.eq_ignore_ascii_case(value));
                return if is_word { Ok(()) } else { Err(wrong) };
            }
            Type::Int(from, to) => {
                let number: i32 = value.parse().map_err(|_| wrong)?;
                (from..=to).contains(&number)
            }
            Type::Level(from, to, usual) => {
                let number: i32 = value.parse().map_err(|_| wrong)?;
                (from..=to).contains(&number) || number == usual
            }
            Type::Long(from, to) => {
                let number: i64 = value.parse().map_err(|_| wrong)?;
                (from..=to).contains(&number)
            }
            Type::Double(from, to) => {
                let number: f64 = value.parse().map_err(|_| wrong)?;
                (from..=to).contains(&number)
            }
            Type::Word(words) => words.contains(&value),
            Type::List(words) => {
                let mut items = items(value);
                items.sort_unstable();
                let is_once = items.windows(2).all(|pair| pair[0] != pair[1]);
                let is_known = |item: &&str| words.is_empty() || words.contains(item);
                is_once && items.iter().all(is_known) && (words.is_empty() || !items.is_empty())
            }
        };
        if is_accepted {
            return Ok(());
        }
        let accepted = self.accepted();
        Err(ValueInvalid::Range { accepted })
    }

    /// Whether values are lists, to which can be added.
    pub fn is_list(&self) -> bool {
        matches!(self, Type::List(_))
    }

    /// Whether two values, each of this type, say the same.
    pub fn is_same(&self, one: &str, other: &str) -> bool {
        let (one, other) = (one.trim(), other.trim());
        match self {
            Type::Boolean => one.eq_ignore_ascii_case(other),
            Type::Int(..) | Type::Level(..) | Type::Long(..) => {
                one.parse::<i64>().ok() == other.parse::<i64>().ok()
            }
            Type::Double(..) => one.parse::<f64>().ok() == other.parse::<f64>().ok(),
            Type::Word(_) | Type::List(_) => one == other,
        }
    }

    /// What is accepted, for people.
    pub fn accepted(&self) -> String {
        match self {
            Type::Boolean => "true or false".to_owned(),
            Type::Int(from, i32::MAX) => format!("at least {from}"),
            Type::Int(from, to) => format!("{from} to {to}"),
            Type::Level(from, to, usual) if usual < from => format!("{from} to {to}, or {usual}"),
            Type::Level(from, to, _) => format!("{from} to {to}"),
            Type::Long(i64::MIN, i64::MAX) => "any number".to_owned(),
            Type::Long(from, i64::MAX) => format!("at least {from}"),
            Type::Long(from, to) => format!("{from} to {to}"),
            Type::Double(from, to) => format!("{from} to {to}"),
            Type::Word(words) => format!("one of {}", words.join(", ")),
            Type::List([]) => "a list".to_owned(),
            Type::List(words) => format!("some of {}, none twice", words.join(", ")),
        }
    }

    /// As Kafka calls it.
    pub fn name(&self) -> &'static str {
        match self {
            Type::Boolean => "BOOLEAN",
            Type::Int(..) | Type::Level(..) => "INT",
            Type::Long(..) => "LONG",
            Type::Double(..) => "DOUBLE",
            Type::Word(_) => "STRING",
            Type::List(_) => "LIST",
        }
    }
}

/// The words of a list.
pub fn items(list: &str) -> Vec<&str> {
    let items = list.split(',').map(str::trim);
    items.filter(|item| !item.is_empty()).collect()
}
