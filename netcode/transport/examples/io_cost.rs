//! What each way to serve a UDP socket costs: `cargo run --release -p netcode-transport --example io_cost`.
//!
//! Owns the measurement behind the numbers in `src/native/mod.rs`. Server and swarm are separate processes; CPU time
//! and wake-ups are the server process's own, from `/proc` (Linux). Compare rows of one run with each other only.

use std::{
    env, fs,
    io::{BufRead, BufReader},
    net::{SocketAddr, UdpSocket},
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use netcode_transport::{Carrier, IoMode, SendFrom, SocketOptions, UdpCarrier, UdpThread, UdpThreadConfig};
use rustix::time::{ClockId, clock_gettime};

const TICK: Duration = Duration::from_nanos(1_000_000_000 / 60);
const WINDOW: Duration = Duration::from_secs(3);
const ROUNDS: usize = 3;
const DOWN_BYTES: usize = 250;
const UP_BYTES: usize = 80;

type Error = Box<dyn std::error::Error>;

fn main() -> Result<(), Error> {
    let arguments: Vec<String> = env::args().skip(1).collect();
    if let [role, target, peers] = arguments.as_slice()
        && role == "swarm"
    {
        return swarm(target.parse()?, peers.parse()?);
    }
    bursts()?;
    for peers in [64, 256, 1024] {
        served(peers)?;
    }
    idle()
}

fn any_port() -> SocketAddr {
    SocketAddr::from(([127, 0, 0, 1], 0))
}

fn options(io: IoMode) -> SocketOptions {
    SocketOptions { io, receive_buffer_bytes: 4 << 20, send_buffer_bytes: 4 << 20, ..Default::default() }
}

type Way = (&'static str, fn() -> Box<dyn Carrier>);

fn carriers() -> Vec<Way> {
    fn threaded(io: IoMode, gather_ms: u64, send_from: SendFrom) -> Box<dyn Carrier> {
        let gather = Duration::from_millis(gather_ms);
        let config = UdpThreadConfig { socket: options(io), gather, send_from, ..Default::default() };
        Box::new(UdpThread::open(any_port(), config).expect("loopback has free ports"))
    }
    fn polled(io: IoMode) -> Box<dyn Carrier> {
        Box::new(UdpCarrier::open_with(any_port(), options(io)).expect("loopback has free ports"))
    }
    vec![
        ("polled by the tick thread, plain", || polled(IoMode::Plain)),
        ("polled by the tick thread, batched", || polled(IoMode::Auto)),
        ("own threads, plain calls", || threaded(IoMode::Plain, 1, SendFrom::OwnThread)),
        ("own threads, woken by every datagram", || threaded(IoMode::Auto, 0, SendFrom::OwnThread)),
        ("own threads (default)", || threaded(IoMode::Auto, 4, SendFrom::OwnThread)),
        ("own receiving thread, the tick sends", || threaded(IoMode::Auto, 4, SendFrom::TickThread)),
    ]
}

/// How often any thread of this process was woken so far.
fn wakes() -> Result<u64, Error> {
    let mut wakes = 0;
    for task in fs::read_dir("/proc/self/task")? {
        let status = fs::read_to_string(task?.path().join("status"))?;
        let line = status.lines().find_map(|line| line.strip_prefix("voluntary_ctxt_switches:"));
        wakes += first_number(line.ok_or("no count of context switches")?)?;
    }
    Ok(wakes)
}

fn spent() -> Result<(u64, u64), Error> {
    Ok((process_cpu_ns(), wakes()?))
}

fn own_cpu_ns() -> u64 {
    cpu_ns(ClockId::ThreadCPUTime)
}

fn process_cpu_ns() -> u64 {
    cpu_ns(ClockId::ProcessCPUTime)
}

fn cpu_ns(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    time.tv_sec as u64 * 1_000_000_000 + time.tv_nsec as u64
}

fn first_number(text: &str) -> Result<u64, Error> {
    Ok(text.split_whitespace().next().ok_or("an empty line")?.parse()?)
}

fn median(mut all: Vec<f64>) -> f64 {
    all.sort_by(f64::total_cmp);
    all[all.len() / 2]
}

/// The bare calls: bursts between sockets of this thread.
fn bursts() -> Result<(), Error> {
    println!("bursts on one thread, ns a datagram of {DOWN_BYTES} B (medians of 101)");
    println!("{:44} {:>7} {:>7}", "", "send", "receive");
    for io in [IoMode::Plain, IoMode::Auto] {
        let mut server = UdpCarrier::open_with(any_port(), options(io))?;
        let mut peers = Vec::new();
        for _ in 0..250 {
            peers.push(UdpCarrier::open_with(any_port(), options(io))?);
        }
        let addresses: Vec<_> = peers.iter().map(Carrier::local_addr).collect();
        let (mut sends, mut receives) = (Vec::new(), Vec::new());
        for _ in 0..101 {
            let begin = own_cpu_ns();
            addresses.iter().for_each(|to| server.send(*to, &[1; DOWN_BYTES]));
            sends.push((own_cpu_ns() - begin) as f64 / 250.0);
            for peer in &mut peers {
                peer.receive(&mut |_, _| ());
                peer.send(server.local_addr(), &[1; DOWN_BYTES]);
            }
            let begin = own_cpu_ns();
            let received = server.receive(&mut |_, _| ());
            receives.push((own_cpu_ns() - begin) as f64 / 250.0);
            assert_eq!(received, 250);
        }
        println!("{:44} {:7.0} {:7.0}", format!("250 peers, {io:?}"), median(sends), median(receives));
    }
    runs()
}

/// Bursts to one peer, by the sending thread: what segmentation and coalescing save.
fn runs() -> Result<(), Error> {
    for io in [IoMode::Plain, IoMode::Auto] {
        let config = UdpThreadConfig { socket: options(io), ..Default::default() };
        let (mut sender, mut peer) =
            (UdpThread::open(any_port(), config)?, UdpCarrier::open_with(any_port(), options(io))?);
        let (mut sends, mut receives) = (Vec::new(), Vec::new());
        for _ in 0..101 {
            let before = process_cpu_ns();
            let sent = sender.counters().datagrams_sent + 64;
            (0..64).for_each(|_| sender.send(peer.local_addr(), &[1; 1200]));
            sender.flush();
            while sender.counters().datagrams_sent < sent {
                thread::sleep(Duration::from_micros(200));
            }
            sends.push((process_cpu_ns() - before) as f64 / 64.0);
            let begin = own_cpu_ns();
            peer.receive(&mut |_, _| ());
            receives.push((own_cpu_ns() - begin) as f64 / 64.0);
        }
        let name = format!("64 × 1200 B to one peer, own threads, {io:?}");
        println!("{name:44} {:7.0} {:7.0}", median(sends), median(receives));
    }
    Ok(())
}

/// A server at 60 Hz under `peers` clients that send at 60 Hz each, spread over the tick.
fn served(peers: usize) -> Result<(), Error> {
    println!(
        "\n{peers} peers, 60 Hz both ways ({UP_BYTES} B up, {DOWN_BYTES} B down), medians of {ROUNDS} × {WINDOW:?}"
    );
    println!("{:44} {:>14} {:>14} {:>10} {:>8}", "", "µs/client/tick", "of it ticking", "wakes/s", "lost %");
    let carriers = carriers();
    let mut rows = vec![Vec::new(); carriers.len()];
    for _ in 0..ROUNDS {
        for (index, (_, open)) in carriers.iter().enumerate() {
            rows[index].push(serve(open(), peers)?);
        }
    }
    for ((name, _), row) in carriers.iter().zip(&rows) {
        let column = |pick: fn(&[f64; 4]) -> f64| median(row.iter().map(pick).collect());
        println!(
            "{name:44} {:14.2} {:14.2} {:10.0} {:8.2}",
            column(|r| r[0]),
            column(|r| r[1]),
            column(|r| r[2]),
            column(|r| r[3])
        );
    }
    Ok(())
}

fn serve(mut carrier: Box<dyn Carrier>, peers: usize) -> Result<[f64; 4], Error> {
    let _swarm = Swarm::start(carrier.local_addr(), peers)?;
    let mut clients: Vec<SocketAddr> = Vec::new();
    let begin = Instant::now();
    // Warm-up: until all have come, then half a second more.
    let (mut next, mut measured_from, mut before, mut ticks, mut received) =
        (begin, None, (0, 0, 0), 0u64, 0u64);
    loop {
        next += TICK;
        thread::sleep(next.saturating_duration_since(Instant::now()));
        let tick_received = carrier.receive(&mut |from, _| {
            if clients.len() < peers && !clients.contains(&from) {
                clients.push(from);
            }
        }) as u64;
        clients.iter().for_each(|to| carrier.send(*to, &[2; DOWN_BYTES]));
        carrier.flush();
        match measured_from {
            None if clients.len() == peers && begin.elapsed() > Duration::from_millis(500) => {
                measured_from = Some(Instant::now());
                let (cpu, wakes) = spent()?;
                before = (cpu, wakes, own_cpu_ns());
            }
            None => assert!(begin.elapsed() < Duration::from_secs(20), "{} of {peers} came", clients.len()),
            Some(from) => {
                ticks += 1;
                received += tick_received;
                if from.elapsed() >= WINDOW {
                    let (after, own) = (spent()?, own_cpu_ns());
                    let each = 1e3 * ticks as f64 * peers as f64;
                    return Ok([
                        (after.0 - before.0) as f64 / each,
                        (own - before.2) as f64 / each,
                        (after.1 - before.1) as f64 / from.elapsed().as_secs_f64(),
                        100.0 * (1.0 - received as f64 / (ticks as f64 * peers as f64)),
                    ]);
                }
            }
        }
    }
}

/// What a server costs that nobody plays on: it looks 20 times a second, as the runtime does.
fn idle() -> Result<(), Error> {
    println!("\nidle, 20 looks a second, {WINDOW:?}");
    println!("{:44} {:>14} {:>10} {:>14}", "", "% of a core", "wakes/s", "µs a look");
    for (name, open) in carriers() {
        let mut carrier = open();
        let (before, from) = (spent()?, Instant::now());
        while from.elapsed() < WINDOW {
            thread::sleep(Duration::from_millis(50));
            carrier.receive(&mut |_, _| ());
        }
        let (after, seconds) = (spent()?, from.elapsed().as_secs_f64());
        let begin = own_cpu_ns();
        (0..1000).for_each(|_| assert_eq!(carrier.receive(&mut |_, _| ()), 0));
        println!(
            "{name:44} {:14.4} {:10.0} {:14.2}",
            (after.0 - before.0) as f64 / seconds / 1e7,
            (after.1 - before.1) as f64 / seconds,
            (own_cpu_ns() - begin) as f64 / 1e6
        );
    }
    Ok(())
}

/// The other process; it ends with this one.
struct Swarm(Child);

impl Swarm {
    fn start(target: SocketAddr, peers: usize) -> Result<Self, Error> {
        let mut child = Command::new(env::current_exe()?)
            .args(["swarm", &target.to_string(), &peers.to_string()])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let stdout = child.stdout.take().ok_or("no standard output")?;
        let swarm = Self(child);
        BufReader::new(stdout).read_line(&mut String::new())?;
        Ok(swarm)
    }
}

impl Drop for Swarm {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn swarm(target: SocketAddr, peers: usize) -> Result<(), Error> {
    let mut sockets = Vec::new();
    for _ in 0..peers {
        let socket = UdpSocket::bind(any_port())?;
        socket.set_nonblocking(true)?;
        socket.connect(target)?;
        sockets.push(socket);
    }
    println!("ready");
    // Every millisecond, those whose turn it is: their sends lie spread over the tick as on a real network.
    let (begin, mut sent, mut buffer) = (Instant::now(), 0, [0; 2048]);
    loop {
        let due = (begin.elapsed().as_secs_f64() * 60.0 * peers as f64) as usize;
        for turn in sent..due {
            let socket = &sockets[turn % peers];
            while socket.recv(&mut buffer).is_ok() {}
            // The server may be gone already; then the parent ends us.
            let _ = socket.send(&[1; UP_BYTES]);
        }
        sent = due;
        thread::sleep(Duration::from_millis(1));
    }
}
