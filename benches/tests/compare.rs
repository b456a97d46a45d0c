//! The comparison itself works: our transport and the floor, real processes and sockets, for an instant. What it measures
//! is nobody's business here; that every figure comes, and that nothing is lost or out of order, is.

use std::process::Command;

use serde_json::Value;

/// Runs the program and gives the figures that it wrote.
fn figures(name: &str, arguments: &[&str]) -> Vec<Value> {
    let folder = std::env::temp_dir().join(format!("tickwright-compare-{name}-{}", std::process::id()));
    let json = folder.join("figures.json");
    let mut command = Command::new(env!("CARGO_BIN_EXE_benches"));
    let output =
        command.arg(name).args(arguments).arg("--json").arg(&json).output().expect("the program is built");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read(&json).expect("the program said that it wrote its figures");
    std::fs::remove_dir_all(folder).expect("the folder was made by the program");
    serde_json::from_slice(&text).expect("the figures are an array of objects")
}

fn number(row: &Value, name: &str) -> f64 {
    row[name].as_f64().unwrap_or_else(|| panic!("{name} in {row}"))
}

#[test]
fn a_client_costs_one_datagram_a_tick_each_way() {
    let flags = "--peers floor,tickwright,tickwright-threads --clients 4 --runs 1 --seconds 0.5 --warm 0.2";
    let arguments: Vec<&str> = flags.split(' ').chain(["--idle-seconds", "0.5"]).collect();
    let rows = figures("transport", &arguments);
    assert_eq!(rows.len(), 3);
    for row in &rows {
        assert!(number(row, "server_cpu_us_per_client_tick") > 0.0);
        // 232 bytes, sealed with 16, under 28 of IP and UDP, are 276 at least.
        assert!(number(row, "bytes_out_per_client_tick") > 276.0);
        assert!((0.8..1.2).contains(&number(row, "datagrams_out_per_client_tick")), "{row}");
        // A machine under load may delay the swarm by whole ticks.
        assert!((0.5..1.5).contains(&number(row, "datagrams_in_per_client_tick")), "{row}");
    }
}

#[test]
fn reliable_messages_and_a_mebibyte_come_whole_through_loss() {
    let flags = "--peers tickwright --clients 2 --runs 1 --seconds 1 --warm 0.2 --loss 2 --rtt 20";
    let rows = figures("loss", &flags.split(' ').collect::<Vec<_>>());
    let [row] = &rows[..] else { panic!("{rows:?}") };
    assert_eq!((number(row, "faults"), number(row, "bulk_intact_runs")), (0.0, 1.0), "{row}");
    assert!(number(row, "reliable_p50_ms") >= 5.0 && number(row, "bulk_1mib_s") > 0.0, "{row}");
}
