use std::io::Read;
use std::sync::mpsc::{self, Receiver, Sender};

use super::*;

/// A deadline that only a failing test reaches.
const LONG: Duration = Duration::from_secs(60);

/// A destination that reports when a write begins. The write ends when the test says so, or when
/// the test drops `release`.
struct Blocked {
    entered: Sender<()>,
    release: Receiver<()>,
    written: Written,
}

impl Write for Blocked {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let _ = self.entered.send(());
        let _ = self.release.recv();
        self.written.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

type Written = Arc<Mutex<Vec<u8>>>;

fn blocked(capacity: usize) -> (Writer, Receiver<()>, Sender<()>, Written) {
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let written = Arc::new(Mutex::new(Vec::new()));
    let mut place = Some(Blocked { entered, release: released, written: Arc::clone(&written) });
    let open: Open = Box::new(move || {
        place.take().map(|place| Box::new(place) as _).ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    (Writer::start(Name::Access, open, capacity).unwrap(), has_entered, release, written)
}

#[test]
fn a_blocked_place_bounds_the_queue_and_drops_are_counted() {
    let (writer, entered, release, written) = blocked(10);
    writer.push(b"0000\n");
    entered.recv().unwrap();
    for line in [b"1111\n", b"2222\n", b"3333\n", b"4444\n"] {
        writer.push(line);
    }
    assert_eq!(writer.shared.lock().lines, b"1111\n2222\n");
    assert_eq!(writer.shared.lock().dropped, 2);

    // Writing works again: the count is reported, and the queue has room.
    release.send(()).unwrap();
    entered.recv().unwrap();
    assert_eq!(writer.shared.lock().dropped, 0);
    writer.push(b"5555\n");
    drop(release);
    assert!(writer.close(LONG));
    assert_eq!(*written.lock().unwrap(), b"0000\n1111\n2222\n5555\n");
}

#[test]
fn a_line_longer_than_the_queue_is_dropped() {
    let (writer, _entered, release, written) = blocked(10);
    drop(release);
    writer.push(b"01234567890\n");
    writer.push(b"0000\n");
    assert!(writer.close(LONG));
    assert_eq!(*written.lock().unwrap(), b"0000\n");
}

#[test]
fn closing_does_not_wait_for_ever() {
    let (writer, entered, _release, written) = blocked(10);
    writer.push(b"0000\n");
    entered.recv().unwrap();
    assert!(!writer.close(Duration::ZERO));
    assert_eq!(*written.lock().unwrap(), b"");
}

#[test]
fn lines_after_the_end_are_ignored() {
    let (writer, _entered, release, written) = blocked(10);
    drop(release);
    assert!(writer.close(LONG));
    writer.push(b"0000\n");
    assert!(writer.close(LONG));
    assert_eq!(*written.lock().unwrap(), b"");
}

#[test]
fn every_line_of_a_full_pipe_arrives_or_is_counted() {
    let (mut reader, pipe) = io::pipe().unwrap();
    let mut place = Some(pipe);
    let open: Open = Box::new(move || {
        place.take().map(|pipe| Box::new(pipe) as _).ok_or_else(|| io::ErrorKind::NotFound.into())
    });
    let writer = Writer::start(Name::Access, open, 8192).unwrap();
    // Nothing reads from the pipe, and this is more than a pipe, a batch and the queue hold.
    let lines = (0..400_000).map(|number| format!("line {number}\n"));
    let taken: Vec<String> = lines.filter(|line| writer.push(line.as_bytes())).collect();
    assert!(taken.len() < 400_000);
    assert!(writer.shared.lock().lines.len() <= 8192);
    let reading = thread::spawn(move || {
        let mut all = String::new();
        reader.read_to_string(&mut all).map(|_| all)
    });
    assert!(writer.close(LONG));
    assert!(reading.join().unwrap().unwrap() == taken.concat());
}

#[test]
fn dropping_the_writer_writes_what_waits() {
    let (writer, _entered, release, written) = blocked(100);
    let shared = Arc::clone(&writer.shared);
    writer.push(b"0000\n");
    drop(writer);
    drop(release);
    drop(shared.ended.wait_while(shared.lock(), |queue| !queue.ended).unwrap());
    assert_eq!(*written.lock().unwrap(), b"0000\n");
}

#[test]
fn lines_before_a_reopening_go_to_the_old_place() {
    let places: Vec<Written> = (0..3).map(|_| Arc::default()).collect();
    let (entered, has_entered) = mpsc::channel();
    let (release, released) = mpsc::channel();
    let mut released = Some(released);
    let mut rest = places.clone().into_iter();
    let open: Open = Box::new(move || {
        let written = rest.next().ok_or(io::ErrorKind::NotFound)?;
        // Only the first destination blocks.
        let release = released.take().unwrap_or_else(|| mpsc::channel().1);
        Ok(Box::new(Blocked { entered: entered.clone(), release, written }))
    });
    let writer = Writer::start(Name::Access, open, 1000).unwrap();
    writer.push(b"0\n");
    has_entered.recv().unwrap();
    writer.push(b"1\n");
    writer.reopen();
    writer.push(b"2\n");
    writer.reopen();
    writer.push(b"3\n");
    drop(release);
    assert!(writer.close(LONG));
    let written: Vec<_> = places.iter().map(|place| place.lock().unwrap().clone()).collect();
    assert_eq!(written, [&b"0\n1\n"[..], b"2\n3\n", b""]);
}

/// A destination with limited space, and an error when it is full.
struct Full {
    room: Arc<Mutex<usize>>,
    written: Written,
}

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut room = self.room.lock().unwrap();
        let length = bytes.len().min(*room);
        if length == 0 {
            return Err(io::ErrorKind::StorageFull.into());
        }
        *room -= length;
        self.written.lock().unwrap().extend_from_slice(&bytes[..length]);
        Ok(length)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The `tracing` output during `run`.
fn said(run: impl FnOnce()) -> Vec<String> {
    #[derive(Clone, Default)]
    struct Said(Arc<Mutex<Vec<u8>>>);
    impl Write for Said {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let said = Said::default();
    let writer = said.clone();
    let subscriber = tracing_subscriber::fmt().with_ansi(false).with_writer(move || writer.clone()).finish();
    tracing::subscriber::with_default(subscriber, run);
    let bytes = said.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap().lines().map(String::from).collect()
}

#[test]
fn a_full_disk_is_reported_once_and_leaves_whole_lines() {
    let room = Arc::new(Mutex::new(7));
    let written = Arc::new(Mutex::new(Vec::new()));
    let place = || -> Box<dyn Write + Send> {
        Box::new(Full { room: Arc::clone(&room), written: Arc::clone(&written) })
    };
    let mut out = Out {
        name: Name::Access,
        to: place(),
        open: Box::new(|| Err(io::ErrorKind::NotFound.into())),
        broken: false,
        midline: false,
        lost: 0,
    };
    let told = said(|| {
        out.write(b"0000\n1111\n2222\n");
        out.write(b"3333\n");
        out.write(b"4444\n");
    });
    assert_eq!(told.len(), 1, "{told:?}");
    assert_eq!(out.lost, 4);

    *room.lock().unwrap() = 100;
    let told = said(|| {
        out.write(b"5555\n");
        out.write(b"6666\n");
    });
    assert_eq!(told.len(), 1, "{told:?}");
    assert!(told[0].contains("lines=4"), "{told:?}");
    // The truncated line is a separate line.
    assert_eq!(*written.lock().unwrap(), b"0000\n11\n5555\n6666\n");

    // A failed reopening is reported and changes nothing.
    let told = said(|| out.reopen());
    assert_eq!(told.len(), 1, "{told:?}");
    out.write(b"7777\n");
    assert!(written.lock().unwrap().ends_with(b"6666\n7777\n"));
}
