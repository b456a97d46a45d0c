//! bevy_replicon under the comparison's world: a server app, client apps, messages carried by hand. Measures the processor
//! time of the server's `App::update`; every client's world is compared with the server's at the end.

use anyhow::{Context, ensure};
use bevy::prelude::*;
use bevy::state::app::StatesPlugin;
use bevy_replicon::prelude::*;
use bevy_replicon::test_app::{ServerTestAppExt, TestClientEntity};
use contest::{Drift, ReplicationFigures, ReplicationJob, process_cpu_ns};
use serde::{Deserialize, Serialize};

#[derive(Component, Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
struct Position(Vec3);

#[derive(Component, Serialize, Deserialize, Clone, Copy, PartialEq, Debug)]
struct Rotation(Quat);

/// Its number in the world.
#[derive(Component, Serialize, Deserialize, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Number(u32);

fn app() -> App {
    let mut app = App::new();
    app.add_plugins((MinimalPlugins, StatesPlugin, RepliconPlugins.set(ServerPlugin::new(PostUpdate))))
        .replicate::<Position>()
        .replicate::<Rotation>()
        .replicate_once::<Number>()
        .finish();
    app
}

fn main() -> anyhow::Result<()> {
    let job = std::env::args().nth(1).context("usage: replicon-peer JOB; run by `benches replication`")?;
    let job: ReplicationJob = serde_json::from_str(&job).context("the job cannot be read")?;
    println!("{}", serde_json::to_string(&run(&job)?)?);
    Ok(())
}

fn run(job: &ReplicationJob) -> anyhow::Result<ReplicationFigures> {
    let mut drift = Drift::new(job.entities, job.moving, job.seed);
    let mut server = app();
    let mut clients: Vec<App> = (0..job.clients).map(|_| app()).collect();
    for client in &mut clients {
        server.connect_client(client);
    }
    let entities: Vec<Entity> = (0..job.entities)
        .map(|index| {
            let (position, rotation) = pose(&drift, index);
            server.world_mut().spawn((Replicated, Number(index as u32), position, rotation)).id()
        })
        .collect();
    let (mut ns, mut bytes, mut datagrams) = (Vec::new(), 0, 0);
    for tick in 0..job.ticks[0] + job.ticks[1] {
        drift.step();
        for (index, entity) in entities.iter().enumerate().take(job.moving) {
            let (position, rotation) = pose(&drift, index);
            let mut entity = server.world_mut().entity_mut(*entity);
            *entity.get_mut::<Position>().context("a position")? = position;
            *entity.get_mut::<Rotation>().context("a rotation")? = rotation;
        }
        let before = process_cpu_ns();
        server.update();
        let used = process_cpu_ns() - before;
        let (sent, messages) = exchange(&mut server, &mut clients);
        if tick >= job.ticks[0] {
            ns.push(used);
            bytes += sent;
            datagrams += messages;
        }
    }
    // What is on its way arrives, and then every world is as the server's.
    for _ in 0..4 {
        server.update();
        exchange(&mut server, &mut clients);
    }
    let truth = world_of(&mut server);
    for client in &mut clients {
        ensure!(world_of(client) == truth, "a client's world is not the server's");
    }
    Ok(ReplicationFigures::new("bevy_replicon", job, ns, bytes, datagrams))
}

fn pose(drift: &Drift, index: usize) -> (Position, Rotation) {
    let pose = drift.pose(index);
    (Position(Vec3::from_array(pose.position)), Rotation(Quat::from_array(pose.rotation)))
}

fn world_of(app: &mut App) -> Vec<(u32, Position, Rotation)> {
    let mut query = app.world_mut().query::<(&Number, &Position, &Rotation)>();
    let mut all: Vec<_> = query.iter(app.world()).map(|(number, at, turn)| (number.0, *at, *turn)).collect();
    all.sort_by_key(|(number, ..)| *number);
    all
}

/// Carries all messages both ways and lets the clients run; gives the bytes and messages of the server.
fn exchange(server: &mut App, clients: &mut [App]) -> (usize, usize) {
    let sent: Vec<_> = server.world_mut().resource_mut::<ServerMessages>().drain_sent().collect();
    let mut by_client = std::collections::HashMap::new();
    for (index, client) in clients.iter().enumerate() {
        by_client.insert(**client.world().resource::<TestClientEntity>(), index);
    }
    let (mut bytes, mut datagrams) = (0, 0);
    for (to, channel, message) in sent {
        bytes += message.len();
        datagrams += message.len().div_ceil(1200).max(1);
        if let Some(index) = by_client.get(&to) {
            clients[*index].world_mut().resource_mut::<ClientMessages>().insert_received(channel, message);
        }
    }
    for client in clients {
        client.update();
        let entity = **client.world().resource::<TestClientEntity>();
        let mut messages = client.world_mut().resource_mut::<ClientMessages>();
        let back: Vec<_> = messages.drain_sent().collect();
        for (channel, message) in back {
            server.world_mut().resource_mut::<ServerMessages>().insert_received(entity, channel, message);
        }
    }
    (bytes, datagrams)
}
