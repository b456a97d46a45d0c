//! Who is near a point: points in the plane or in space, sorted by the cell they lie in. Owns the search; must never know
//! what a point stands for.
//!
//! Filled afresh each tick, since most points move: an entry is its cell's number and the point, and the entries are
//! sorted by that number, room first, then z, y and x. A row of cells that lie beside each other is then one run of
//! entries, found by one binary search. Nothing depends on how large the world is or how it is filled, and memory is
//! one entry a point.

use glam::Vec3;

/// Points, each with what it stands for. In the plane: with z = 0.
///
/// ```
/// use server_runtime::SpatialGrid;
/// use glam::{Vec3, vec3};
///
/// let mut grid = SpatialGrid::new(10.0);
/// grid.insert(vec3(3.0, 4.0, 0.0), "near");
/// grid.insert(vec3(300.0, 4.0, 0.0), "far");
/// grid.sort();
/// let mut found = Vec::new();
/// grid.near(Vec3::ZERO, 6.0, |name, distance_squared| found.push((name, distance_squared)));
/// assert_eq!(found, [("near", 25.0)]);
/// ```
#[derive(Clone, Debug)]
pub struct SpatialGrid<T> {
    cells_per_unit: f32,
    entries: Vec<Entry<T>>,
    /// Cells that have points, in z: in the plane it is one, and no other is looked into.
    layers: (i32, i32),
}

#[derive(Clone, Copy, Debug)]
struct Entry<T> {
    cell: u64,
    at: Vec3,
    item: T,
}

impl<T: Copy> SpatialGrid<T> {
    /// Without points, in cells of `cell` world units: about half the radius that is asked for most is quickest.
    ///
    /// # Panics
    /// When `cell` is not greater than zero.
    #[must_use]
    pub fn new(cell: f32) -> Self {
        assert!(cell > 0.0 && cell.is_finite(), "a cell has a size");
        Self { cells_per_unit: 1.0 / cell, entries: Vec::new(), layers: NO_LAYERS }
    }

    /// Forgets all points; memory is kept.
    pub fn clear(&mut self) {
        self.entries.clear();
        self.layers = NO_LAYERS;
    }

    /// Adds a point. Call [`SpatialGrid::sort`] once all are there.
    pub fn insert(&mut self, at: Vec3, item: T) {
        self.insert_in(0, at, item);
    }

    /// Adds a point in a room of its own number: points of other rooms are never near it.
    pub fn insert_in(&mut self, room: u16, at: Vec3, item: T) {
        let layer = self.coordinate(at.z);
        self.layers = (self.layers.0.min(layer), self.layers.1.max(layer));
        let cell = cell_of(room, layer, self.coordinate(at.y), self.coordinate(at.x));
        self.entries.push(Entry { cell, at, item });
    }

    /// Makes the points that were added ready to be found.
    pub fn sort(&mut self) {
        self.entries.sort_unstable_by_key(|entry| entry.cell);
    }

    /// Number of points.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether there is no point.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Hands over what lies within `radius` of `at` (the edge included), with the square of its distance, in no order
    /// that means anything.
    pub fn near(&self, at: Vec3, radius: f32, found: impl FnMut(T, f32)) {
        self.near_in(0, at, radius, found);
    }

    /// As [`SpatialGrid::near`], among the points of one room.
    pub fn near_in(&self, room: u16, at: Vec3, radius: f32, mut found: impl FnMut(T, f32)) {
        let squared = radius * radius;
        let range = |centre: f32| (self.coordinate(centre - radius), self.coordinate(centre + radius));
        let ((x_first, x_last), (y_first, y_last)) = (range(at.x), range(at.y));
        let (z_first, z_last) = range(at.z);
        for z in z_first.max(self.layers.0)..=z_last.min(self.layers.1) {
            // One row after the other: where the last one ended the next is not far.
            let mut from = 0;
            for y in y_first..=y_last {
                let (first, last) = (cell_of(room, z, y, x_first), cell_of(room, z, y, x_last));
                from += self.entries[from..].partition_point(|entry| entry.cell < first);
                for entry in self.entries[from..].iter().take_while(|entry| entry.cell <= last) {
                    let distance_squared = entry.at.distance_squared(at);
                    if distance_squared <= squared {
                        found(entry.item, distance_squared);
                    }
                }
            }
        }
    }

    /// Number of the cell on one axis. What lies beyond the last cell is in it: it is found, only slower. NaN is 0.
    fn coordinate(&self, at: f32) -> i32 {
        ((at * self.cells_per_unit).floor() as i32).clamp(-COORDINATE_MAX, COORDINATE_MAX)
    }
}

/// Ascends by room, z, y, x.
fn cell_of(room: u16, z: i32, y: i32, x: i32) -> u64 {
    let part = |coordinate: i32| u64::from((coordinate + COORDINATE_MAX).unsigned_abs());
    u64::from(room) << 48 | part(z) << 32 | part(y) << 16 | part(x)
}

/// So that a coordinate fits 16 bits.
const COORDINATE_MAX: i32 = 32_767;
const NO_LAYERS: (i32, i32) = (i32::MAX, i32::MIN);

#[cfg(test)]
mod tests {
    use super::*;

    /// Every point of a random cloud is found exactly where a comparison with all of them finds it.
    #[test]
    fn the_grid_finds_what_a_comparison_with_all_finds() {
        let mut random = 7_u32;
        let mut next = move |span: f32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 8) as f32 / 16_777_216.0 * span - span / 2.0
        };
        for (span, depth, cell) in
            [(100.0, 0.0, 5.0), (100.0, 100.0, 20.0), (1e7, 0.0, 3.0), (4.0, 4.0, 90.0)]
        {
            let mut grid = SpatialGrid::new(cell);
            let points: Vec<(u16, Vec3)> =
                (0..300).map(|index| (index % 3, Vec3::new(next(span), next(span), next(depth)))).collect();
            for (index, (room, at)) in points.iter().enumerate() {
                grid.insert_in(*room, *at, index);
            }
            grid.sort();
            for (room, at) in &points {
                let radius = span / 5.0;
                let mut found = Vec::new();
                grid.near_in(*room, *at, radius, |index, squared| {
                    assert_eq!(squared, points[index].1.distance_squared(*at));
                    found.push(index);
                });
                found.sort_unstable();
                let near =
                    |index: &usize| points[*index].0 == *room && points[*index].1.distance(*at) <= radius;
                let expected: Vec<usize> = (0..points.len()).filter(near).collect();
                assert_eq!(found, expected, "span {span}, cell {cell}");
            }
        }
    }

    #[test]
    fn points_that_are_no_numbers_harm_nobody() {
        let mut grid = SpatialGrid::new(1.0);
        for at in [Vec3::NAN, Vec3::INFINITY, Vec3::NEG_INFINITY, Vec3::ONE] {
            grid.insert(at, at.x.is_finite());
        }
        grid.sort();
        let mut found = Vec::new();
        grid.near(Vec3::ZERO, 2.0, |item, _| found.push(item));
        assert_eq!(found, [true]);
        grid.near(Vec3::NAN, f32::NAN, |_, _| panic!("nothing is near nowhere"));
    }
}
