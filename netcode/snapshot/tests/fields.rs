//! What each kind of field promises: how far a shown value may be from the true one, what a text may hold, when a
//! reference leads somewhere.

use std::f32::consts::{PI, TAU};

use glam::Quat as Rotation;
use netcode_derive::{Enumeration, Input, Message, Replicate};
use netcode_snapshot::{Enumeration as _, Frame, NetId, Replicate as _, Schema};
use netcode_wire::quant::{Angle, Quat, Range};
use netcode_wire::{BitReader, BitWriter, Tick, WireError};
use proptest::prelude::*;

#[derive(Replicate, Clone, Debug, Default, PartialEq)]
struct Badge {
    #[net(max = 10)]
    name: String,
    #[net(max = 4)]
    colours: Vec<u8>,
    guards: Option<NetId>,
    team: u8,
}

#[derive(Enumeration, Clone, Copy, Debug, Default, PartialEq)]
enum Stance {
    #[default]
    Calm = 2,
    Wild = 5,
}

#[derive(Enumeration, Clone, Copy, Debug, Default, PartialEq)]
enum Weather {
    #[default]
    Sun,
    Rain = 300,
    #[net(unknown)]
    Strange,
}

#[derive(Message, Input, Clone, Debug, Default, PartialEq)]
struct Report {
    #[net(enumeration)]
    stance: Stance,
    #[net(enumeration)]
    weather: Weather,
}

fn after(badge: &Badge) -> Badge {
    let mut badge = badge.clone();
    badge.snap();
    badge
}

#[test]
fn text_and_bytes_lie_in_columns_and_are_cut_at_their_limits() {
    // Length and three words, length and one, the reference, the team.
    assert_eq!(
        Badge::FIELDS.iter().map(|field| field.name).collect::<Vec<_>>(),
        ["name.len", "name.0", "name.1", "name.2", "colours.len", "colours.0", "guards", "team"]
    );
    // The last word of ten bytes has two.
    assert_eq!(
        Badge::FIELDS.iter().map(|field| field.bits).collect::<Vec<_>>(),
        [4, 32, 32, 16, 3, 32, 32, 8]
    );
    let check = |name: &str, shown: &str| {
        let badge = Badge { name: name.into(), ..Badge::default() };
        assert_eq!(after(&badge).name, shown);
    };
    check("", "");
    check("Ada", "Ada");
    check("0123456789", "0123456789");
    check("0123456789ab", "0123456789");
    // Nine bytes and a character of two: cut before it.
    check("012345678é", "012345678");
    check("é", "é");
    let badge = Badge { colours: vec![1, 0, 3, 4, 5], ..Badge::default() };
    assert_eq!(after(&badge).colours, [1, 0, 3, 4]);
}

#[test]
fn a_reference_leads_to_who_is_there() {
    let schema = Schema::builder().component::<Badge>().build();
    let mut frame = Frame::new(Tick(1));
    let mut push = |id: u32, guards: Option<NetId>| {
        let badge = Badge { guards, team: id as u8, ..Badge::default() };
        frame.push(&schema, NetId(id), |entity| entity.component(&badge));
    };
    push(0, None);
    push(1, Some(NetId(0)));
    push(2, Some(NetId(1)));
    push(3, Some(NetId(4)));
    frame.finish();
    let guards = |id| frame.get::<Badge>(&schema, NetId(id)).map(|badge| (badge.guards, badge.team));
    assert_eq!(guards(0), Some((None, 0)));
    assert_eq!(guards(1), Some((Some(NetId(0)), 1)));
    assert_eq!(guards(2), Some((Some(NetId(1)), 2)));
    assert_eq!(guards(3), Some((None, 3)), "it has not appeared yet");
    let mut later = frame.clone();
    later.push(&schema, NetId(4), |entity| entity.component(&Badge::default()));
    assert_eq!(later.get::<Badge>(&schema, NetId(3)).and_then(|badge| badge.guards), Some(NetId(4)));
}

#[test]
fn variants_are_sent_by_their_numbers() {
    assert_eq!((Stance::LAST, Stance::Calm.index(), Stance::Wild.index()), (5, 2, 5));
    assert_eq!((Weather::LAST, Weather::UNKNOWN, Weather::Strange.index()), (301, Some(301), 301));
    assert_eq!((Weather::from_index(300), Weather::from_index(7)), (Weather::Rain, Weather::Strange));
    let bits = |stance: u64, weather: u64| {
        let mut out = BitWriter::new();
        out.write_bits(stance, 3);
        out.write_bits(weather, 9);
        out.into_bytes()
    };
    let message = |bytes: &[u8]| <Report as netcode_snapshot::Message>::decode(&mut BitReader::new(bytes));
    let input = |bytes: &[u8]| <Report as netcode_snapshot::Input>::decode(&mut BitReader::new(bytes));
    let report = Report { stance: Stance::Wild, weather: Weather::Rain };
    assert_eq!((message(&bits(5, 300)), input(&bits(5, 300))), (Ok(report.clone()), Ok(report)));
    let strange = Report { stance: Stance::Calm, weather: Weather::Strange };
    assert_eq!(message(&bits(2, 9)), Ok(strange), "one variant stands for those that are not known");
    let refused = Err(WireError::Malformed("variant of an enumeration"));
    assert_eq!((message(&bits(3, 0)), input(&bits(3, 0))), (refused.clone(), refused), "and here none does");
}

proptest! {
    #[test]
    fn any_text_is_shown_as_far_as_it_fits(name: String, colours: Vec<u8>) {
        let badge = Badge { name, colours, ..Badge::default() };
        let shown = after(&badge);
        prop_assert!(badge.name.starts_with(&shown.name) && badge.colours.starts_with(&shown.colours));
        prop_assert!(shown.name.len() + 3 >= badge.name.len().min(10));
        prop_assert_eq!(after(&shown), shown);
    }

    #[test]
    fn any_row_gives_a_text(row: [u32; 8]) {
        let _ = Badge::restore(&row);
    }

    /// Half a step, and what `f32` itself rounds off.
    #[test]
    fn a_range_errs_by_half_a_step(min in -1000f32..1000.0, width in 0.5f32..1000.0, steps in 4u32..20_000, at in 0f32..=1.0) {
        let (max, step) = (min + width, width / steps as f32);
        prop_assume!(step * 4e6 > min.abs().max(max.abs()));
        let range = Range::new(min, max, step);
        let value = min + width * at;
        let error = f64::from(range.snap(value)) - f64::from(value);
        let rounding = f64::from(min.abs().max(max.abs())) * 2.4e-7;
        prop_assert!(error.abs() <= f64::from(step) * 0.5 + rounding, "{value} by {step}: {error}");
    }

    #[test]
    fn an_angle_errs_by_half_a_part(bits in 1u32..=20, radians in -20f32..20.0) {
        let error = (Angle::new(bits).snap(radians) - radians + PI).rem_euclid(TAU) - PI;
        let part = TAU / (1u32 << bits) as f32;
        prop_assert!(error.abs() <= part * 0.5 + 4e-6, "{radians}: {error}");
    }

    #[test]
    fn a_rotation_errs_by_its_bits(bits in 4u32..=20, x in -1f32..1.0, y in -1f32..1.0, z in -1f32..1.0, w in -1f32..1.0) {
        prop_assume!(x * x + y * y + z * z + w * w > 0.01);
        let turn = Rotation::from_xyzw(x, y, z, w).normalize();
        let [a, b, c, d] = Quat::new(bits).snap(turn.to_array());
        let shown = Rotation::from_xyzw(a, b, c, d);
        // The angle between them, by the chord: exact where it is small.
        let chord = (shown - turn).length().min((shown + turn).length());
        let angle = 4.0 * (chord / 2.0).min(1.0).asin();
        let bound = 3.5 / ((1u32 << (bits - 1)) - 1) as f32;
        prop_assert!(angle <= bound + 2e-6, "{turn} in {bits} bits: {angle} > {bound}");
    }
}
