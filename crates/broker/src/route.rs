//! The way of one record from its exchange to its queues, as the router says, with what
//! happens to it on the way.

use bongsu_engine::Refused;
use bongsu_engine::router::{
    Attributes, Property, Publication, QueueId, RouteScratch, SpaceId, WindowId,
};
use bongsu_record::blocks::amqp091;
use bongsu_record::message::Message;
use bongsu_record::native::Record;
use bongsu_record::{Arguments, Offset, Value};

use crate::broker::Broker;
use crate::publish::Cells;

/// Queues that a record reaches in one way.
#[derive(Clone, Debug)]
pub(crate) struct Way {
    pub(crate) cells: Cells,
    /// Its header `x-delay` is obeyed.
    pub(crate) is_delayed: bool,
    /// What this window has seen does not go on.
    pub(crate) window: Option<WindowId>,
}

/// What a record is routed by.
pub(crate) struct Address<'a> {
    pub(crate) space: SpaceId,
    pub(crate) exchange: &'a str,
    pub(crate) routing_key: &'a str,
    pub(crate) more_keys: &'a [String],
    /// Not the broker's own.
    pub(crate) from_client: bool,
}

impl Broker {
    /// The ways of a record: the plain one first, which is without queues if there are
    /// none. And whether all with this address have the same.
    pub(crate) fn ways(
        &self,
        address: &Address<'_>,
        record: &dyn Attributes,
        scratch: &mut RouteScratch,
        queues: &mut Vec<QueueId>,
    ) -> Result<(Vec<Way>, bool), Refused> {
        let publication = Publication {
            space: address.space,
            exchange: address.exchange,
            routing_key: address.routing_key,
            more_keys: address.more_keys,
            message: record,
            from_client: address.from_client,
        };
        let catalog = self.catalog();
        let routed = catalog.router().route_all(&publication, scratch, queues)?;
        drop(catalog);
        let mut ways = vec![Way {
            cells: self.cells(queues),
            is_delayed: false,
            window: None,
        }];
        if routed.is_parted {
            ways.extend(scratch.parts().iter().map(|part| Way {
                cells: self.cells(&part.queues),
                is_delayed: part.is_delayed,
                window: part.window,
            }));
        }
        Ok((ways, routed.cacheable))
    }
}

/// A record, for the router.
pub(crate) struct OfRecord<'a>(pub(crate) Option<Record<'a>>);

impl Attributes for OfRecord<'_> {
    /// Headers that cannot be read match nothing: the publisher's session has checked their
    /// shape, so this is a table nested too deep.
    fn headers(&self) -> Arguments {
        let message = self.0.map(|record| Message::native(record, Offset(0), 0));
        message
            .and_then(|message| message.headers().ok())
            .unwrap_or_default()
    }

    fn property(&self, property: Property) -> Option<String> {
        let message = Message::native(self.0?, Offset(0), 0);
        of_properties(&message.properties().ok()?, property)
    }
}

/// A header block of AMQP 0-9-1, for the router.
pub(crate) struct OfBlock<'a>(pub(crate) &'a [u8]);

impl Attributes for OfBlock<'_> {
    fn headers(&self) -> Arguments {
        let read = amqp091::read(self.0).and_then(|fields| fields.headers());
        read.unwrap_or_default()
    }

    fn property(&self, property: Property) -> Option<String> {
        let read = amqp091::read(self.0).ok()?;
        of_properties(&read.properties, property)
    }
}

fn of_properties(
    properties: &bongsu_record::blocks::Properties<'_>,
    property: Property,
) -> Option<String> {
    match property {
        Property::CorrelationId => properties.correlation_id.map(text),
        Property::MessageId => properties.message_id.map(text),
        Property::Timestamp => properties.timestamp_s.map(|s| s.to_string()),
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Milliseconds that a record asks to be delayed by its exchange.
pub(crate) fn delay_ms(headers: &Arguments) -> Option<u64> {
    let delay = headers.get(DELAY_HEADER)?;
    let int = match delay {
        Value::Text(text) => text.parse().ok(),
        Value::Float(float) => Some(*float as i64),
        Value::Decimal { scale, mantissa } => {
            let divisor = 10_i64.checked_pow(u32::from(*scale));
            divisor.map(|divisor| i64::from(*mantissa) / divisor)
        }
        other => other.as_int(),
    };
    int.and_then(|ms| u64::try_from(ms).ok())
        .filter(|ms| *ms > 0)
}

/// The block of a record that is being delayed: as the plugin does it, the header says so by
/// its sign, and a message that comes back as a dead letter is not delayed again.
pub(crate) fn delayed_block(block: &[u8], delay_ms: u64) -> Option<Vec<u8>> {
    let negative = Value::Int(i64::try_from(delay_ms).ok()?.checked_neg()?);
    amqp091::with_headers(block, &[(DELAY_HEADER, &negative)]).ok()
}

const DELAY_HEADER: &str = "x-delay";
