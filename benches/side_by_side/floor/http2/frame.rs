//! Frames (RFC 9113, section 4.1).

pub const HEADER: usize = 9;

pub const DATA: u8 = 0;
pub const HEADERS: u8 = 1;
pub const RST_STREAM: u8 = 3;
pub const SETTINGS: u8 = 4;
pub const PING: u8 = 6;
pub const WINDOW_UPDATE: u8 = 8;
pub const CONTINUATION: u8 = 9;

pub const ACK: u8 = 1;
pub const END_STREAM: u8 = 1;
pub const END_HEADERS: u8 = 4;
pub const PADDED: u8 = 8;
pub const PRIORITY: u8 = 32;

pub const HEADER_TABLE_SIZE: u16 = 1;
pub const INITIAL_WINDOW_SIZE: u16 = 4;
pub const MAX_FRAME_SIZE: u16 = 5;

/// What a window has before anyone says more, the most that it may have, and the longest frame.
pub const WINDOW: u32 = 0xffff;
pub const WIDEST: u32 = 0x7fff_ffff;
pub const LONGEST: u32 = 0xff_ffff;

/// The header of a frame.
#[derive(Clone, Copy)]
pub struct Frame {
    pub length: usize,
    pub kind: u8,
    pub flags: u8,
    pub stream: u32,
}

impl Frame {
    pub fn read(bytes: &[u8]) -> Option<Frame> {
        let [high, middle, low, kind, flags, stream @ ..] = *bytes.first_chunk::<HEADER>()?;
        let length = u32::from_be_bytes([0, high, middle, low]) as usize;
        Some(Frame { length, kind, flags, stream: number(&stream) & 0x7fff_ffff })
    }

    pub fn header(self) -> [u8; HEADER] {
        let [_, high, middle, low] = (self.length as u32).to_be_bytes();
        let [a, b, c, d] = self.stream.to_be_bytes();
        [high, middle, low, self.kind, self.flags, a, b, c, d]
    }

    pub fn has(self, flag: u8) -> bool {
        self.flags & flag != 0
    }
}

/// A whole frame.
pub fn whole(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let header = Frame { length: payload.len(), kind, flags, stream }.header();
    [&header, payload].concat()
}

pub fn settings(values: &[(u16, u32)]) -> Vec<u8> {
    let bytes = |(key, value): &(u16, u32)| [&key.to_be_bytes()[..], &value.to_be_bytes()].concat();
    whole(SETTINGS, 0, 0, &values.iter().flat_map(bytes).collect::<Vec<u8>>())
}

pub fn window_update(stream: u32, more: u32) -> Vec<u8> {
    whole(WINDOW_UPDATE, 0, stream, &more.to_be_bytes())
}

/// The value of a setting that is there.
pub fn setting(settings: &[u8], key: u16) -> Option<u32> {
    let setting = settings.chunks_exact(6).find(|setting| setting[..2] == key.to_be_bytes())?;
    Some(number(&setting[2..]))
}

/// A number of up to 32 bits.
pub fn number(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |number, byte| number << 8 | u32::from(*byte))
}
