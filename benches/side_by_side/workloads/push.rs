//! Blobs that clients send.

use super::Stage;
use crate::blob::Blob;
use crate::failure::Outcome;
use crate::http1::{Framing, Http1};
use crate::http2::Http2;
use crate::meter::{Measured, Meter};
use crate::quantity::Quantity;
use crate::target::Reads;
use crate::upstream::UPLOAD;

pub async fn http1(stage: &Stage<'_>, framing: Framing) -> Outcome<Measured> {
    let (target, size) = (&stage.front.target, stage.scale.blob);
    let mut client = Http1::connect(target, Reads::Small).await?;
    let meter = Meter::start(&stage.front.process)?;
    let answer = client.upload("PATCH", UPLOAD, target, size, framing).await?;
    let measured = pushed(&meter, size)?;
    answer.must_be(202)?;
    arrived(answer.field("range"), size)?;
    Ok(measured)
}

pub async fn http2(stage: &Stage<'_>) -> Outcome<Measured> {
    let (target, size) = (&stage.front.target, stage.scale.blob);
    let mut client = Http2::connect(target).await?;
    let meter = Meter::start(&stage.front.process)?;
    let answer = client.send("PATCH", UPLOAD, target, Blob::of_size(size)).await?;
    let measured = pushed(&meter, size)?;
    answer.must_be(202, 0)?;
    arrived(answer.range.as_deref(), size)?;
    Ok(measured)
}

/// Checks that the upstream received every byte.
pub fn arrived(range: Option<&str>, size: u64) -> Outcome<()> {
    if range == Some(&format!("0-{}", size - 1)) {
        return Ok(());
    }
    Err(format!("of {size} bytes, the upstream received {}", range.unwrap_or("none")).into())
}

fn pushed(meter: &Meter<'_>, size: u64) -> Outcome<Measured> {
    let mut measured = meter.bytes(size)?;
    measured.push((Quantity::DiskBytes, meter.disk_bytes()? as f64));
    Ok(measured)
}
