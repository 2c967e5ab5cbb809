//! The store in ZooKeeper itself, on a real server, without a sidecar around it.

use std::time::Duration;

use ackline::store::{
    Claim, OffsetStore as _, Place, Position, StoreError, Write, ZooKeeper, ZooKeeperSettings,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};

use crate::harness::Tree;

fn settings(tree: &Tree, claimed_by: &str) -> ZooKeeperSettings {
    ZooKeeperSettings {
        servers: vec![tree.environment().get("ADDRESS").to_owned()],
        root: tree.root.clone(),
        session_timeout: Duration::from_secs(10),
        credentials: None,
        tls: None,
        group: "group".to_owned(),
        claimed_by: claimed_by.to_owned(),
    }
}

fn store(tree: &Tree, claimed_by: &str) -> ZooKeeper {
    ZooKeeper::new(settings(tree, claimed_by))
}

fn place(partition: i32) -> Place {
    let topic = "topic".to_owned();
    Place { topic, partition }
}

fn position(offset: i64) -> Position {
    Position {
        offset,
        leader_epoch: Some(4),
        metadata: format!("metadata of {offset}"),
    }
}

fn write(claim: &Claim, offset: i64) -> Write {
    Write {
        place: claim.place.clone(),
        fence: claim.fence,
        position: position(offset),
    }
}

#[tokio::test]
async fn whoever_claimed_earlier_writes_nothing_more() {
    let tree = Tree::create().await;
    let (mut first, mut second) = (store(&tree, "first"), store(&tree, "second"));
    let both = [place(0), place(1)];
    let earlier = first.claim(&both).await.unwrap();
    assert!(earlier.iter().all(|claim| claim.position.is_none()));
    let writes = [write(&earlier[0], 5), write(&earlier[1], 6)];
    assert_eq!(first.write(&writes).await.unwrap(), both);

    let later = second.claim(&both[..1]).await.unwrap();
    assert_eq!(later[0].fence, earlier[0].fence + 1);
    assert_eq!(later[0].position, Some(position(5)));
    // Each partition has its own result.
    let writes = [write(&earlier[0], 7), write(&earlier[1], 8)];
    assert_eq!(first.write(&writes).await.unwrap(), both[1..]);
    assert_eq!(
        second.write(&[write(&later[0], 9)]).await.unwrap(),
        both[..1]
    );
    let now = first.claim(&both).await.unwrap();
    let positions: Vec<_> = now.into_iter().map(|claim| claim.position).collect();
    assert_eq!(positions, [Some(position(9)), Some(position(8))]);
    let stored = second.metadata(&["topic".to_owned()]).await.unwrap();
    let mut metadata: Vec<_> = stored.into_iter().map(|(_, metadata)| metadata).collect();
    metadata.sort();
    assert_eq!(metadata, ["metadata of 8", "metadata of 9"]);
    let everything = second.positions().await.unwrap();
    assert_eq!(
        everything,
        [(place(0), position(9)), (place(1), position(8))]
    );
    let none = second.metadata(&["other".to_owned()]).await.unwrap();
    assert_eq!(none, []);
}

#[tokio::test]
async fn what_old_tools_write_is_where_reading_goes_on() {
    let tree = Tree::create().await;
    let mut store = store(&tree, "pod");
    let claim = store.claim(&[place(0)]).await.unwrap();
    store.write(&[write(&claim[0], 10)]).await.unwrap();
    let offset = tree.path("/consumers/group/offsets/topic/0");
    tree.ask(&[format!("set {offset} 7")]).await;
    let claim = store.claim(&[place(0)]).await.unwrap();
    let read = claim[0].position.clone().unwrap();
    assert_eq!((read.offset, read.leader_epoch), (7, None));

    tree.ask(&[format!("set {offset} seven")]).await;
    let error = store.claim(&[place(0)]).await.unwrap_err();
    let StoreError::Refused(text) = error else {
        panic!("{error:?}");
    };
    assert!(
        text.contains("/consumers/group/offsets/topic/0 holds no offset"),
        "{text}"
    );

    // As if nothing had ever been stored.
    tree.ask(&[format!("delete {offset}")]).await;
    let claim = store.claim(&[place(0)]).await.unwrap();
    assert_eq!(claim[0].position, None);
    assert_eq!(
        store.write(&[write(&claim[0], 3)]).await.unwrap(),
        [place(0)]
    );
    tree.ask(&[format!("delete {offset}")]).await;
    assert_eq!(
        store.write(&[write(&claim[0], 4)]).await.unwrap(),
        [place(0)]
    );
    assert_eq!(tree.ask(&[format!("get {offset}")]).await, ["4"]);
}

/// The server did what it could not say.
#[tokio::test]
async fn a_write_without_an_answer_is_in_nobodys_way() {
    let tree = Tree::create().await;
    let mut store = store(&tree, "pod");
    let claim = store.claim(&[place(0)]).await.unwrap();
    store.write(&[write(&claim[0], 10)]).await.unwrap();
    let beside = tree.path("/consumers/group/ackline/topic/0/position");
    tree.ask(&[format!("set {beside} \"\"")]).await;
    assert_eq!(
        store.write(&[write(&claim[0], 11)]).await.unwrap(),
        [place(0)]
    );
    let claim = store.claim(&[place(0)]).await.unwrap();
    assert_eq!(claim[0].position, Some(position(11)));
}

#[tokio::test]
async fn who_removes_all_nodes_ends_the_claims() {
    let tree = Tree::create().await;
    let mut store = store(&tree, "pod");
    let claim = store.claim(&[place(0)]).await.unwrap();
    store.write(&[write(&claim[0], 10)]).await.unwrap();
    tree.ask(&[format!("deleteall {}", tree.path("/consumers"))])
        .await;
    assert_eq!(store.write(&[write(&claim[0], 11)]).await.unwrap(), []);
    let claim = store.claim(&[place(0)]).await.unwrap();
    assert_eq!(claim[0].position, None);
    assert_eq!(
        store.write(&[write(&claim[0], 12)]).await.unwrap(),
        [place(0)]
    );
}

#[tokio::test]
async fn a_thousand_partitions_are_claimed_and_written() {
    let tree = Tree::create().await;
    let (mut first, mut second) = (store(&tree, "first"), store(&tree, "second"));
    let topic = "t".repeat(249);
    let place = |partition| Place {
        topic: topic.clone(),
        partition,
    };
    let places: Vec<Place> = (0..1000).map(place).collect();
    let claims = first.claim(&places).await.unwrap();
    let writes = claims.iter().map(|claim| {
        let mut write = write(claim, i64::from(claim.place.partition));
        write.position.metadata = "m".repeat(4000);
        write
    });
    let writes: Vec<Write> = writes.collect();
    assert_eq!(first.write(&writes).await.unwrap().len(), places.len());
    let later = second.claim(&places).await.unwrap();
    for (claim, write) in later.iter().zip(&writes) {
        assert_eq!(claim.place, write.place);
        assert_eq!(claim.position.as_ref(), Some(&write.position));
    }
    assert_eq!(
        second
            .metadata(std::slice::from_ref(&topic))
            .await
            .unwrap()
            .len(),
        places.len()
    );
}

#[tokio::test]
async fn servers_that_are_away_or_silent_are_passed_over() {
    let tree = Tree::create().await;
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let away = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut servers = [&silent, &away]
        .map(|it| it.local_addr().unwrap().to_string())
        .to_vec();
    drop(away);
    let mut settings = settings(&tree, "pod");
    servers.append(&mut settings.servers);
    settings.servers = servers;
    settings.session_timeout = Duration::from_secs(6);
    // Begins anywhere: each is the first of some of these.
    for _ in 0..3 {
        let mut store = ZooKeeper::new(settings.clone());
        store.claim(&[place(0)]).await.unwrap();
    }
}

/// As a server ends the session of who said nothing for long. Nothing is bound to a session.
#[tokio::test]
async fn a_connection_that_ended_between_two_questions_costs_no_error() {
    let tree = Tree::create().await;
    let mut settings = settings(&tree, "pod");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    settings.servers = vec![address];
    let mut store = ZooKeeper::new(settings);
    let places = [place(0)];
    let claim = tokio::select! {
        claim = store.claim(&places) => claim.unwrap(),
        () = passed_on(&listener, &tree) => unreachable!(),
    };
    let writes = [write(&claim[0], 1)];
    let written = tokio::select! {
        written = store.write(&writes) => written.unwrap(),
        () = passed_on(&listener, &tree) => unreachable!(),
    };
    assert_eq!(written, places);
}

/// A write that was given up may still lie somewhere on its way, and come after the one that followed it.
#[tokio::test]
async fn a_write_that_comes_late_takes_nothing_back() {
    let tree = Tree::create().await;
    let mut settings = settings(&tree, "pod");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let server = std::mem::replace(&mut settings.servers, vec![address]).remove(0);
    let mut server = TcpStream::connect(server).await.unwrap();
    let mut store = ZooKeeper::new(settings);
    let mut client = None;
    let claim = tokio::select! {
        claim = async {
            let claim = store.claim(&[place(0)]).await.unwrap();
            store.write(&[write(&claim[0], 9)]).await.unwrap();
            claim
        } => claim,
        () = async {
            let client = client.insert(listener.accept().await.unwrap().0);
            copy_bidirectional(client, &mut server).await.unwrap();
        } => unreachable!(),
    };

    let mut client = client.unwrap();
    let mut late = vec![0; 4096];
    let given_up = [write(&claim[0], 10)];
    let mut asked = store.write(&given_up);
    let length = tokio::select! {
        length = client.read(&mut late) => length.unwrap(),
        written = &mut asked => panic!("{written:?}"),
    };
    late.truncate(length);
    drop(client);
    assert!(matches!(asked.await, Err(StoreError::Away(_))));
    let next = [write(&claim[0], 11)];
    let next = tokio::select! {
        next = store.write(&next) => next.unwrap(),
        () = passed_on(&listener, &tree) => unreachable!(),
    };
    assert_eq!(next, [place(0)]);

    server.write_all(&late).await.unwrap();
    assert!(
        server.read(&mut [0; 4096]).await.unwrap() > 0,
        "it is answered"
    );
    let mut other = self::store(&tree, "other");
    let claim = other.claim(&[place(0)]).await.unwrap();
    assert_eq!(claim[0].position, Some(position(11)));
}

/// Passes the next connection on, which ends when this is dropped.
async fn passed_on(listener: &TcpListener, tree: &Tree) {
    let (mut client, _) = listener.accept().await.unwrap();
    let server = tree.environment().get("ADDRESS").to_owned();
    let mut server = TcpStream::connect(server).await.unwrap();
    copy_bidirectional(&mut client, &mut server).await.unwrap();
    panic!("the store hung up");
}
