use super::*;
use crate::catalog::call::{Answer, Effect, Input};
use crate::catalog::definition::{LogDurability, Owner};
use crate::catalog::policy::{ApplyTo, Policy};
use crate::catalog::state::Settings;
use crate::session::{Binding, DeclareExchange, DeclareQueue, Destination};
use bongsu_record::{Arguments, Value};

fn new() -> Catalog {
    Catalog::new(Settings {
        durability: LogDurability::Fsync,
        hash_seed: 1,
    })
}

fn take(catalog: &mut Catalog, input: Input) -> Result<(Answer, Vec<Effect>), Refused> {
    let mut effects = Vec::new();
    let answer = catalog.handle(input, &mut effects)?;
    catalog.check();
    Ok((answer, effects))
}

fn declare(catalog: &mut Catalog, space: SpaceDefinition) -> (SpaceId, bool) {
    match take(catalog, Input::DeclareSpace { space }) {
        Ok((Answer::Space { id, created }, _)) => (id, created),
        other => panic!("{other:?}"),
    }
}

fn queue(catalog: &mut Catalog, space: SpaceId, name: &str) -> Result<QueueId, Refused> {
    let declare = DeclareQueue {
        name: name.to_owned(),
        passive: false,
        durable: true,
        exclusive: false,
        auto_delete: false,
        arguments: Arguments::new(),
    };
    let input = Input::DeclareQueue {
        space,
        owner: Owner(1),
        declare,
        token: 0,
    };
    match take(catalog, input)? {
        (Answer::Queue { id, .. }, _) => Ok(id),
        other => panic!("{other:?}"),
    }
}

fn delete(catalog: &mut Catalog, name: &str) -> Result<Vec<Effect>, Refused> {
    let name = name.to_owned();
    take(catalog, Input::DeleteSpace { name }).map(|(_, effects)| effects)
}

/// As a restart that takes its checkpoint finds it.
fn restored(catalog: &Catalog) -> Catalog {
    let mut bytes = Vec::new();
    let written = catalog.snapshot(|chunk| {
        bytes.extend_from_slice(chunk);
        Ok::<_, ()>(())
    });
    written.unwrap();
    let mut restored = new();
    restored.restore(&bytes).unwrap();
    restored.replayed();
    restored.check();
    restored
}

fn names(catalog: &Catalog) -> Vec<(u32, String)> {
    let spaces = catalog.spaces();
    spaces
        .map(|(id, space)| (id.0, space.name.to_string()))
        .collect()
}

#[test]
fn a_space_comes_with_its_exchanges_and_goes_with_all_that_is_in_it() {
    let mut catalog = new();
    let (shop, created) = declare(&mut catalog, SpaceDefinition::named("shop"));
    assert_eq!((shop, created), (SpaceId(1), true));
    assert!(!declare(&mut catalog, SpaceDefinition::named("shop")).1);
    assert_eq!(catalog.exchanges().count(), 2 * PREDECLARED.len());

    let here = queue(&mut catalog, SpaceId::DEFAULT, "q").unwrap();
    let there = queue(&mut catalog, shop, "q").unwrap();
    assert_ne!(here, there);
    let exchange = DeclareExchange {
        name: "once".to_owned(),
        exchange_type: "x-message-deduplication".to_owned(),
        passive: false,
        durable: true,
        auto_delete: false,
        internal: false,
        arguments: Arguments::from([("x-cache-size".to_owned(), Value::Int(5))]),
    };
    let input = Input::DeclareExchange {
        space: shop,
        declare: exchange,
    };
    take(&mut catalog, input).unwrap();
    let binding = Binding {
        source: "once".to_owned(),
        destination: Destination::Queue("q".to_owned()),
        routing_key: "k".to_owned(),
        arguments: Arguments::new(),
    };
    let bind = Input::Bind {
        space: shop,
        owner: Owner(1),
        binding,
    };
    take(&mut catalog, bind).unwrap();
    let policy = Policy {
        name: "short".to_owned(),
        pattern: String::new(),
        apply_to: ApplyTo::All,
        priority: 0,
        definition: Arguments::from([("max-length".to_owned(), Value::Int(5))]),
    };
    let set = Input::SetPolicy {
        space: shop,
        policy,
    };
    take(&mut catalog, set).unwrap();

    let effects = delete(&mut catalog, "shop").unwrap();
    // One change, whatever there was: it happens at once or not at all.
    assert!(matches!(
        &effects[..],
        [
            Effect::Durable(Change::DeleteSpace { .. }),
            Effect::DropQueue { id },
            Effect::DropWindow { .. }
        ] if *id == there
    ));
    assert_eq!(catalog.queues().count(), 1);
    assert_eq!(catalog.exchanges().count(), PREDECLARED.len());
    assert_eq!(catalog.policies().count(), 0);
    let gone = not_found(Kind::Space, "shop");
    assert_eq!(delete(&mut catalog, "shop"), Err(gone));
    // Whoever was in it makes nothing there.
    assert!(queue(&mut catalog, shop, "late").is_err());
    // Its number is nobody else's, also after a restart.
    let mut catalog = restored(&catalog);
    let again = declare(&mut catalog, SpaceDefinition::named("shop"));
    assert_eq!(again, (SpaceId(2), true));
}

#[test]
fn the_first_space_is_changed_and_deleted_like_any_other() {
    let mut catalog = new();
    let described = SpaceDefinition {
        description: "all of it".to_owned(),
        tags: vec!["one".to_owned()],
        default_queue_type: Some("quorum".to_owned()),
        ..SpaceDefinition::named("/")
    };
    assert_eq!(declare(&mut catalog, described.clone()).0, SpaceId(0));
    let mut catalog = restored(&catalog);
    let is = catalog.space_definition(SpaceId::DEFAULT);
    assert_eq!(is.map(|is| &**is), Some(&described));

    delete(&mut catalog, "/").unwrap();
    let mut catalog = restored(&catalog);
    assert_eq!(names(&catalog), []);
    assert_eq!(catalog.exchanges().count(), 0);
    declare(&mut catalog, SpaceDefinition::named("/"));
    let catalog = restored(&catalog);
    assert_eq!(names(&catalog), [(1, "/".to_owned())]);
}

#[test]
fn a_space_takes_as_many_queues_as_it_may() {
    let mut catalog = new();
    let limits = SpaceLimits {
        queues_max: Some(1),
        ..SpaceLimits::default()
    };
    let small = SpaceDefinition {
        limits,
        ..SpaceDefinition::named("small")
    };
    let (small, _) = declare(&mut catalog, small);
    let first = queue(&mut catalog, small, "one").unwrap();
    let refused = Refused::QueueLimit {
        queue: "two".to_owned(),
        max: 1,
    };
    assert_eq!(queue(&mut catalog, small, "two"), Err(refused));
    // Who asks for what is there is not refused; other spaces are not concerned.
    assert_eq!(queue(&mut catalog, small, "one"), Ok(first));
    assert!(queue(&mut catalog, SpaceId::DEFAULT, "two").is_ok());
    let catalog = restored(&catalog);
    assert_eq!(catalog.queue_count(small), 1);
    assert_eq!(catalog.room_for(small, 1), Err(1));
}

#[test]
fn spaces_that_cannot_be_are_refused() {
    let mut catalog = new();
    let named = SpaceDefinition::named;
    for space in [
        named(""),
        named(&"x".repeat(256)),
        SpaceDefinition {
            description: "x".repeat(4097),
            ..named("s")
        },
        SpaceDefinition {
            tags: vec![String::new(); 65],
            ..named("s")
        },
        SpaceDefinition {
            default_queue_type: Some("fast".to_owned()),
            ..named("s")
        },
    ] {
        let refused = take(&mut catalog, Input::DeclareSpace { space });
        assert!(matches!(refused, Err(Refused::InvalidArgument { .. })));
    }
    assert_eq!(names(&catalog), [(0, "/".to_owned())]);
}

/// Changes that a state has seen already, and what came after them, lead to it again.
#[test]
fn a_replay_that_begins_earlier_ends_the_same() {
    let space = |id, name: &str| Change::DeclareSpace {
        id: SpaceId(id),
        space: SpaceDefinition::named(name),
    };
    let gone = |id, name: &str| Change::DeleteSpace {
        id: SpaceId(id),
        name: name.to_owned(),
    };
    let changes = [space(1, "a"), gone(1, "a"), space(2, "a"), gone(0, "/")];
    let mut catalog = new();
    for change in changes.iter().chain(&changes) {
        catalog.apply(change);
        catalog.check();
    }
    assert_eq!(names(&catalog), [(2, "a".to_owned())]);
}
