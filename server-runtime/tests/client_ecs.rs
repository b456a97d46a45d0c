//! A client's world as an ECS has what the server's room has, and lets go of what is gone.
#![allow(clippy::unwrap_used, reason = "a test stops where it fails")]

mod table;

use bevy_ecs::prelude::*;
use client_ecs::{Mirror, Own, Remote};
use server_runtime::prelude::{NetId, Networked};
use table::{Stone, Table, Walker, Walking, walking};

struct Screen {
    world: World,
    mirror: Mirror<Walking>,
}

impl Screen {
    fn new() -> Self {
        Self { world: World::new(), mirror: Mirror::new().component::<Stone>() }
    }

    fn frame(&mut self, table: &Table) {
        self.mirror.sync(&table.guests[0].client, &mut self.world);
    }

    /// In hundredths, as finely as they travel.
    fn stones(&mut self) -> Vec<(NetId, i32)> {
        let mut stones: Vec<_> = self
            .world
            .query::<(&Remote, &Stone)>()
            .iter(&self.world)
            .map(|(id, stone)| (id.0, (stone.x * 100.0).round() as i32))
            .collect();
        stones.sort_by_key(|(id, _)| *id);
        stones
    }
}

#[test]
fn entities_come_change_and_go_with_the_servers() {
    let (mut table, mut screen) = (Table::open(walking()), Screen::new());
    let guest = table.invite(1, 0);
    let own = table.seated(guest);
    let stones = [10.0, 20.0].map(|x| table.room.world_mut().spawn(Stone { x }).id());
    let ids = stones.map(|stone| table.room.world_mut().get::<Networked>(stone).map(|networked| networked.0));
    table.seconds(1.0);
    screen.frame(&table);
    let ids = ids.map(|id| id.expect("networked"));
    let mut want = vec![(ids[0], 1000), (ids[1], 2000)];
    want.sort_by_key(|(id, _)| *id);
    assert_eq!(screen.stones(), want);
    let here = screen.mirror.entity(own).expect("the own one is there");
    assert!(screen.world.entity(here).contains::<Own>() && screen.world.entity(here).contains::<Walker>());

    // Nothing has changed: nothing is marked so, and what the game added stays.
    let stone = screen.mirror.entity(ids[0]).unwrap();
    screen.world.entity_mut(stone).insert(Name("flint"));
    screen.world.clear_trackers();
    screen.frame(&table);
    assert_eq!(changed(&mut screen.world), 0);

    table.room.world_mut().get_mut::<Stone>(stones[0]).unwrap().x = 15.0;
    table.room.world_mut().despawn(stones[1]);
    table.seconds(1.0);
    screen.world.clear_trackers();
    screen.frame(&table);
    assert_eq!(screen.stones(), [(ids[0], 1500)]);
    assert_eq!(changed(&mut screen.world), 1);
    assert!(screen.world.entity(stone).contains::<Name>());
    assert_eq!(screen.mirror.entity(ids[1]), None);
}

#[test]
fn what_the_client_lets_go_by_itself_is_shown_again_and_components_go_alone() {
    let (mut table, mut screen) = (Table::open(walking()), Screen::new());
    let guest = table.invite(1, 0);
    let own = table.seated(guest);
    let world = table.room.world_mut();
    let walker = world.query_filtered::<Entity, With<Walker>>().single(world).unwrap();
    table.room.world_mut().entity_mut(walker).insert(Stone { x: 1.0 });
    table.seconds(1.0);
    screen.frame(&table);
    assert_eq!(screen.stones(), [(own, 100)]);
    let here = screen.mirror.entity(own).unwrap();
    screen.world.despawn(here);
    screen.frame(&table);
    let again = screen.mirror.entity(own).unwrap();
    assert!(again != here && screen.world.entity(again).contains::<Own>());
    table.room.world_mut().entity_mut(walker).remove::<Stone>();
    table.seconds(1.0);
    screen.frame(&table);
    assert_eq!(screen.stones(), []);
    assert!(screen.world.entity(again).contains::<Walker>());
    screen.mirror.clear(&mut screen.world);
    assert_eq!(screen.world.query::<&Remote>().iter(&screen.world).count(), 0);
}

#[derive(Component)]
struct Name(#[expect(dead_code, reason = "it is there")] &'static str);

fn changed(world: &mut World) -> usize {
    let mut stones = world.query_filtered::<(), (With<Remote>, Changed<Stone>)>();
    stones.iter(world).count()
}
