//! The frames of a scene: read from a file, or simulated. Must never know what becomes of them.

use std::path::Path;

use anyhow::Context;

use super::CUBES;
use super::cube::{COLUMNS, Cube};

/// A scene.
pub(super) struct Frames {
    pub(super) name: String,
    cubes: Vec<Cube>,
}

impl Frames {
    /// From a file: frames of 901 cubes, each `largest, a, b, c, x, y, z, interacting` in little-endian i32.
    pub(super) fn read(path: &Path, frames_max: usize) -> anyhow::Result<Self> {
        let bytes = std::fs::read(path).with_context(|| path.display().to_string())?;
        let whole = bytes.len() / (CUBES * CUBE_BYTES);
        anyhow::ensure!(whole > 0, "{} holds no frame of {CUBES} cubes", path.display());
        let cubes = bytes
            .chunks_exact(CUBE_BYTES)
            .take(whole.min(frames_max) * CUBES)
            .map(|cube| from_file(cube).with_context(|| format!("{}: a value out of range", path.display())))
            .collect::<anyhow::Result<_>>()?;
        let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Self { name, cubes })
    }

    /// Number of frames.
    pub(super) fn len(&self) -> usize {
        self.cubes.len() / CUBES
    }

    /// The cubes of a frame.
    pub(super) fn frame(&self, index: usize) -> &[Cube] {
        &self.cubes[index * CUBES..(index + 1) * CUBES]
    }
}

fn from_file(bytes: &[u8]) -> Option<Cube> {
    let mut values = [0; COLUMNS];
    for (value, bytes) in values.iter_mut().zip(bytes.chunks_exact(4)) {
        *value = i32::from_le_bytes(bytes.try_into().expect("four bytes"));
    }
    let [largest, a, b, c, x, y, z, interacting] = values;
    let row = [interacting, x + CENTRE, y + CENTRE, z + CENTRE, largest, a, b, c];
    let limits = [1, 32_767, 32_767, 32_767, 3, 511, 511, 511];
    let in_range = row.iter().zip(limits).all(|(value, limit)| (0..=limit).contains(value));
    in_range.then(|| Cube(row.map(|value| value as u32)))
}

const CUBE_BYTES: usize = COLUMNS * 4;
/// The column of coordinate 0.
const CENTRE: i32 = 16_384;
