//! The shapes against the decoder: what is made by a shape, the decoder reads to the last
//! byte; what a shape lets through, the decoder reads exactly as far.

use bytes::Bytes;
use kafka_protocol::messages::{
    ApiKey, ConsumerProtocolAssignment, ConsumerProtocolSubscription, RequestHeader, RequestKind,
};
use kafka_protocol::protocol::{Decodable, VersionRange};
use proptest::prelude::*;

use super::shapes::{Field, Request, Shape};
use super::*;
use crate::api::TABLE;

/// Makes a message by its shape, all fields filled, and notes where lengths are.
struct Maker {
    state: u64,
    version: i16,
    flexible: bool,
    out: Vec<u8>,
    /// Where, and in how many bytes.
    lengths: Vec<(usize, usize)>,
    longest: u64,
}

impl Maker {
    fn make(request: &Request, version: i16, seed: u64, longest: u64) -> Maker {
        let mut maker = Maker {
            state: seed,
            version,
            flexible: version >= request.flexible_since,
            out: Vec::new(),
            lengths: Vec::new(),
            longest,
        };
        maker.fields(request.fields);
        maker
    }

    /// splitmix64.
    fn below(&mut self, end: u64) -> u64 {
        self.state = self.state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    fn fields(&mut self, fields: &[Field]) {
        let version = self.version;
        for field in fields {
            if field.tag.is_none() && field.is_in(version) {
                self.shape(&field.shape);
            }
        }
        if !self.flexible {
            return;
        }
        let tagged = fields.iter().filter(|field| field.is_in(version));
        let mut tagged: Vec<_> = tagged
            .filter_map(|field| Some((field.tag?, field)))
            .collect();
        tagged.sort_by_key(|(tag, _)| *tag);
        let unknown = self.below(2);
        self.lengths.push((self.out.len(), 1));
        self.varint(tagged.len() as u64 + unknown);
        for (tag, field) in tagged {
            self.varint(u64::from(tag));
            // The length is not looked at where the field is known.
            let at = self.out.len();
            self.shape(&field.shape);
            let value = self.out.split_off(at);
            self.lengths.retain(|(place, _)| *place < at);
            self.varint(value.len() as u64);
            self.out.extend(value);
        }
        if unknown == 1 {
            self.varint(1000);
            self.lengths.push((self.out.len(), 1));
            self.varint(3);
            self.out.extend(b"new");
        }
    }

    fn shape(&mut self, shape: &Shape) {
        match shape {
            Shape::Fixed(bytes) => self.fixed(*bytes),
            Shape::String => self.string(),
            Shape::Bytes => {
                let bytes = self.below(self.longest) as usize;
                self.length(bytes);
                self.fixed(bytes);
            }
            Shape::Fixeds(bytes) => {
                let count = self.below(self.longest) as usize;
                self.length(count);
                self.fixed(bytes * count);
            }
            Shape::Strings => {
                let count = self.below(self.longest) as usize;
                self.length(count);
                (0..count).for_each(|_| self.string());
            }
            Shape::Structs(fields) => {
                let count = self.below(self.longest.min(4)) as usize;
                self.length(count);
                (0..count).for_each(|_| self.fields(fields));
            }
            Shape::Struct(fields) => self.fields(fields),
            Shape::Option(fields) => {
                let some = self.below(2) as u8;
                self.out.push(some);
                if some == 1 {
                    self.fields(fields);
                } else {
                    *self.out.last_mut().unwrap() = 0xff;
                }
            }
        }
    }

    fn fixed(&mut self, bytes: usize) {
        for _ in 0..bytes {
            let byte = self.below(256) as u8;
            self.out.push(byte);
        }
    }

    fn string(&mut self) {
        let text = "orders".repeat(self.below(self.longest) as usize);
        if self.flexible {
            self.length(text.len());
        } else {
            self.lengths.push((self.out.len(), 2));
            self.out.extend((text.len() as i16).to_be_bytes());
        }
        self.out.extend(text.as_bytes());
    }

    fn length(&mut self, length: usize) {
        if self.flexible {
            let at = self.out.len();
            self.varint(length as u64 + 1);
            self.lengths.push((at, self.out.len() - at));
        } else {
            self.lengths.push((self.out.len(), 4));
            self.out.extend((length as i32).to_be_bytes());
        }
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.out.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.out.push(value as u8);
    }
}

/// Every request and version that the decoder knows and the tables have.
fn every() -> impl Iterator<Item = (ApiKey, &'static Request, i16)> {
    ApiKey::iter()
        .filter_map(|key| Some((key, shapes::find(key as i16)?)))
        .flat_map(|(key, request)| {
            let VersionRange { min, max } = key.valid_versions();
            // Of some, the list knows a version that the decoder does not.
            let versions = (min..=max).filter(move |version| is_read(key, *version));
            versions.map(move |version| (key, request, version))
        })
}

fn is_read(key: ApiKey, version: i16) -> bool {
    match RequestKind::decode(key, &mut Bytes::new(), version) {
        Ok(_) => true,
        Err(error) => !format!("{error:#}").contains("version not supported"),
    }
}

/// How far the decoder reads; `None` if it gives up.
fn decoded(key: ApiKey, version: i16, bytes: &[u8]) -> Option<usize> {
    let mut rest = Bytes::copy_from_slice(bytes);
    RequestKind::decode(key, &mut rest, version).ok()?;
    Some(bytes.len() - rest.len())
}

/// What is let through is read exactly as far, or refused without harm.
fn agree(key: ApiKey, request: &Request, version: i16, bytes: &[u8]) {
    if let Ok(walked) = walked(request, version, bytes)
        && let Some(decoded) = decoded(key, version, bytes)
    {
        assert_eq!(walked, decoded, "{key:?} {version} {bytes:?}");
    }
}

#[test]
fn every_request_that_is_answered_has_a_shape() {
    for api in TABLE {
        assert!(shapes::find(api.key as i16).is_some(), "{:?}", api.key);
    }
}

#[test]
fn an_array_that_is_not_there_is_refused_in_every_version() {
    for api in TABLE {
        for version in api.min..=api.max {
            let shape = shapes::find(api.key as i16).unwrap();
            let maker = (0..100)
                .map(|seed| Maker::make(shape, version, seed, 3))
                .max_by_key(|maker| maker.lengths.len())
                .unwrap();
            for (at, width) in maker.lengths {
                let mut bytes = maker.out[..at].to_vec();
                match (width, version >= shape.flexible_since) {
                    (2, false) => bytes.extend(i16::MAX.to_be_bytes()),
                    (_, false) => bytes.extend(i32::MAX.to_be_bytes()),
                    (_, true) => bytes.extend([0xff, 0xff, 0xff, 0xff, 0x0f]),
                }
                bytes.extend(&maker.out[at + width..]);
                let refused = super::request(api.key as i16, version, &bytes);
                assert_eq!(refused, Err(Dishonest), "{:?} {version} at {at}", api.key);
            }
        }
    }
}

#[test]
fn a_header_is_walked_as_it_is_decoded() {
    let plain = b"\0\x03\0\x09\0\0\0\x01\0\x02me";
    let flexible = [&plain[..], b"\x01\x07\x02ab"].concat();
    let nobody = b"\0\x03\0\x09\0\0\0\x01\xff\xff\0";
    for (version, bytes) in [(1, &plain[..]), (2, &flexible[..]), (2, &nobody[..])] {
        assert_eq!(header(version == 2, bytes), Ok(()));
        let decoded = RequestHeader::decode(&mut Bytes::copy_from_slice(bytes), version).unwrap();
        assert_eq!(decoded.correlation_id, 1);
        for cut in 0..bytes.len() {
            assert_eq!(header(version == 2, &bytes[..cut]), Err(Dishonest), "{cut}");
        }
    }
    let many_fields = [&plain[..], b"\xff\xff\xff\xff\x0f"].concat();
    assert_eq!(header(true, &many_fields), Err(Dishonest));
    let long_name = b"\0\x03\0\x09\0\0\0\x01\x7f\xffme";
    assert_eq!(header(false, long_name), Err(Dishonest));
}

#[test]
fn elements_are_bounded_whatever_the_bytes() {
    // Metadata 0: an array of empty names.
    let names = |count: usize| [&(count as i32).to_be_bytes()[..], &vec![0; count * 2]].concat();
    assert_eq!(request(3, 0, &names(ELEMENTS_MAX)), Ok(()));
    assert_eq!(request(3, 0, &names(ELEMENTS_MAX + 1)), Err(Dishonest));
    // Fields that nobody knows cost a decoder more than they cost whoever sends them.
    let fields = |count: u32| {
        let mut out = vec![
            (count & 0x7f) as u8 | 0x80,
            (count >> 7 & 0x7f) as u8 | 0x80,
        ];
        out.push((count >> 14) as u8);
        out.resize(out.len() + count as usize * 2, 0);
        out
    };
    let start = b"\x05name\x041.0"; // ApiVersions 3
    let with = |count| [&start[..], &fields(count)].concat();
    assert_eq!(request(18, 3, &with(ELEMENTS_MAX as u32)), Ok(()));
    assert_eq!(
        request(18, 3, &with(ELEMENTS_MAX as u32 + 1)),
        Err(Dishonest)
    );
}

#[test]
fn a_key_without_a_shape_is_refused() {
    assert_eq!(request(-1, 0, b""), Err(Dishonest));
    assert_eq!(request(i16::MAX, 0, b""), Err(Dishonest));
}

#[test]
fn what_consumers_say_to_each_other_is_walked_as_it_is_decoded() {
    for version in 0..=3 {
        for seed in 0..200 {
            let made = Maker::make(&shapes::consumers::SUBSCRIPTION, version, seed, 5).out;
            assert_eq!(
                walked(&shapes::consumers::SUBSCRIPTION, version, &made),
                Ok(made.len())
            );
            let mut rest = Bytes::from(made);
            ConsumerProtocolSubscription::decode(&mut rest, version).unwrap();
            assert!(rest.is_empty());
            let made = Maker::make(&shapes::consumers::ASSIGNMENT, version, seed, 5).out;
            assert_eq!(
                walked(&shapes::consumers::ASSIGNMENT, version, &made),
                Ok(made.len())
            );
            let mut rest = Bytes::from(made);
            ConsumerProtocolAssignment::decode(&mut rest, version).unwrap();
            assert!(rest.is_empty());
        }
    }
    assert_eq!(subscription(0, b"\x7f\xff\xff\xff"), Err(Dishonest));
    assert_eq!(assignment(0, b"\x7f\xff\xff\xff"), Err(Dishonest));
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 32, ..ProptestConfig::default() })]

    #[test]
    fn a_shape_and_the_decoder_read_the_same_bytes(seed in any::<u64>(), longest in 1_u64..40) {
        for (key, request, version) in every() {
            let made = Maker::make(request, version, seed, longest).out;
            prop_assert_eq!(walked(request, version, &made), Ok(made.len()), "{:?} {}", key, version);
            let read = decoded(key, version, &made);
            prop_assert_eq!(read, Some(made.len()), "{:?} {}", key, version);
        }
    }

    #[test]
    fn lengths_that_lie_are_refused_or_harmless(
        seed in any::<u64>(),
        which in any::<prop::sample::Index>(),
        lie in prop_oneof![any::<i32>(), -3_i32..40],
    ) {
        for (key, request, version) in every() {
            let mut maker = Maker::make(request, version, seed, 5);
            if maker.lengths.is_empty() {
                continue;
            }
            let (at, width) = *which.get(&maker.lengths);
            let lie = match version >= request.flexible_since {
                true => {
                    let start = maker.out.len();
                    maker.varint(u64::from(lie as u32));
                    maker.out.split_off(start)
                }
                false => lie.to_be_bytes()[4 - width..].to_vec(),
            };
            maker.out.splice(at..at + width, lie);
            agree(key, request, version, &maker.out);
        }
    }

    #[test]
    fn any_bytes_are_walked(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        for (key, request, version) in every() {
            agree(key, request, version, &bytes);
        }
        for flexible in [false, true] {
            let _ = header(flexible, &bytes);
        }
    }
}
