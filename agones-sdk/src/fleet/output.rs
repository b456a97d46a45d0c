//! Owns: what becomes of a server's output: a bounded log file each stream, and the lines of JSON among it.
//! Must never know: which server wrote it.

use std::fs;
use std::io;
use std::path::Path;

use serde_json::Value;
use tokio::fs::File;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};

/// A log file holds no more than this; what comes after is read and dropped, so that the server never blocks.
const LOG_BYTES_MAX: u64 = 16 << 20;
/// A longer line is not looked at for JSON.
const LINE_BYTES_MAX: usize = 1 << 20;
/// Logs of so many ended servers are kept; the oldest are deleted first.
pub(super) const LOGS_KEPT: usize = 256;

/// What a server says in JSON.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    /// `{"ready":true,…}`, whole.
    Ready(Value),
    /// `{"final":{…}}`, the inner value.
    Final(Value),
}

/// Makes the folder for logs and makes sure that it can be written.
pub(super) fn prepare(folder: &Path) -> io::Result<()> {
    fs::create_dir_all(folder)?;
    let probe = folder.join(".writable");
    fs::write(&probe, b"")?;
    fs::remove_file(probe)
}

/// Copies `stream` to the end of `path` until it ends; gives each line of JSON that means something to `hear`.
pub(super) async fn copy(mut stream: impl AsyncRead + Unpin, path: &Path, mut hear: impl FnMut(Said)) {
    let mut log = match File::options().create(true).append(true).open(path).await {
        Ok(file) => Some(file),
        Err(error) => {
            tracing::warn!(path = %path.display(), %error, "log cannot be opened");
            None
        }
    };
    let mut room = LOG_BYTES_MAX;
    let mut lines = Lines::default();
    let mut chunk = vec![0; 16 << 10];
    while let Ok(length @ 1..) = stream.read(&mut chunk).await {
        let bytes = &chunk[..length];
        lines.push(bytes, &mut hear);
        let fits = usize::try_from(room).unwrap_or(usize::MAX).min(length);
        room -= fits as u64;
        if let Some(file) = &mut log {
            let written = file.write_all(&bytes[..fits]).await.and(file.flush().await);
            if written.is_err() {
                log = None;
            }
        }
    }
}

/// Cuts a stream into lines.
#[derive(Default)]
struct Lines {
    line: Vec<u8>,
    too_long: bool,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], hear: &mut impl FnMut(Said)) {
        for piece in bytes.split_inclusive(|&byte| byte == b'\n') {
            if self.line.len() + piece.len() > LINE_BYTES_MAX {
                self.too_long = true;
                self.line.clear();
            }
            if !self.too_long {
                self.line.extend_from_slice(piece);
            }
            if piece.ends_with(b"\n") {
                if let Some(said) = understand(&self.line) {
                    hear(said);
                }
                self.line.clear();
                self.too_long = false;
            }
        }
    }
}

fn understand(line: &[u8]) -> Option<Said> {
    if !line.starts_with(b"{") {
        return None;
    }
    let mut value: Value = serde_json::from_slice(line).ok()?;
    if let Some(last) = value.get_mut("final") {
        return Some(Said::Final(last.take()));
    }
    (value.get("ready") == Some(&Value::Bool(true))).then_some(Said::Ready(value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    async fn check(text: &[u8], expected: &[Said]) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log");
        let mut heard = Vec::new();
        copy(text, &path, |said| heard.push(said)).await;
        assert_eq!(heard, expected);
        assert_eq!(fs::read(&path).unwrap(), text);
    }

    #[tokio::test]
    async fn json_lines_are_heard_and_everything_is_logged() {
        let ready = json!({ "ready": true, "udp": "127.0.0.1:1" });
        let text =
            b"hello\n{\"ready\":true,\"udp\":\"127.0.0.1:1\"}\n{\"final\":{\"a\":1}}\n{bad\n{\"x\":1}\n\xff";
        check(text, &[Said::Ready(ready), Said::Final(json!({ "a": 1 }))]).await;
    }

    #[tokio::test]
    async fn an_endless_line_is_passed_over() {
        let mut text = vec![b'{'; LINE_BYTES_MAX + 9];
        text.extend_from_slice(b"\n{\"final\":2}\n");
        check(&text, &[Said::Final(json!(2))]).await;
    }

    #[test]
    fn an_unwritable_folder_is_said() {
        assert!(prepare(Path::new("/proc/nowhere")).is_err());
    }
}
