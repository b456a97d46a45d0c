//! What the live view draws. Owns the shapes a game hands over and their JSON; must never know the game's
//! components nor who is watching.

use std::borrow::Cow;

use glam::Vec2;
use netcode_snapshot::NetId;
use serde::Serialize;

/// One thing on the live view's canvas. Serialised with the short names of the feed.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Shape {
    /// The entity's network id; 0 for things without one.
    pub id: u32,
    /// Whose it is, as decimal text; filled in by the framework for what players predict.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub player: Option<String>,
    /// What to draw: `ship`, `shot`, `pickup`, `rock`, … Unknown kinds are drawn as circles.
    pub kind: Cow<'static, str>,
    /// Centre, world units.
    pub x: f32,
    /// Centre, world units.
    pub y: f32,
    /// Radius, world units.
    pub r: f32,
    /// Heading in radians, counter-clockwise from +x.
    pub a: f32,
    /// A name to write beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// Colour on the wheel, degrees 0..360.
    pub hue: u16,
    /// Health, 0..=1; `None` draws no bar.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hp: Option<f32>,
    /// Score to list; `None` keeps it off the list.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub score: Option<i64>,
}

impl Shape {
    /// A shape of `kind` at `position`; add the rest with the methods below.
    pub fn new(kind: impl Into<Cow<'static, str>>, position: Vec2) -> Self {
        Self { kind: kind.into(), x: position.x, y: position.y, r: 1.0, ..Self::default() }
    }

    /// The entity it shows.
    #[must_use]
    pub fn id(mut self, id: NetId) -> Self {
        self.id = id.0;
        self
    }

    /// Radius in world units (1 unless set).
    #[must_use]
    pub fn radius(mut self, radius: f32) -> Self {
        self.r = radius;
        self
    }

    /// Heading in radians.
    #[must_use]
    pub fn angle(mut self, radians: f32) -> Self {
        self.a = radians;
        self
    }

    /// A name beside it.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = Some(label.into());
        self
    }

    /// Colour in degrees.
    #[must_use]
    pub fn hue(mut self, degrees: u16) -> Self {
        self.hue = degrees % 360;
        self
    }

    /// Health bar, 0..=1.
    #[must_use]
    pub fn health(mut self, fraction: f32) -> Self {
        self.hp = Some(fraction.clamp(0.0, 1.0));
        self
    }

    /// Score in the list.
    #[must_use]
    pub fn score(mut self, score: i64) -> Self {
        self.score = Some(score);
        self
    }
}

/// Everything the live view shows of the world, made by the game's `.live_view()` hook about 20 times a second
/// while someone watches (never otherwise).
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Scene {
    /// Width and height of the playing field, world units, centred on the origin.
    pub bounds: [f32; 2],
    /// What is on it.
    pub shapes: Vec<Shape>,
}

impl Scene {
    /// An empty field of this size.
    pub fn new(width: f32, height: f32) -> Self {
        Self { bounds: [width, height], shapes: Vec::new() }
    }

    /// Adds a shape.
    pub fn push(&mut self, shape: Shape) {
        self.shapes.push(shape);
    }
}
