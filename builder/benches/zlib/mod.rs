//! zlib as QEMU writes clusters with it: a window of 2^12 bytes and the most memory.

#![allow(
    unsafe_code,
    reason = "zlib has no other interface that sets the window"
)]

use std::mem::MaybeUninit;

use libz_sys::{
    Z_DEFAULT_STRATEGY, Z_DEFLATED, Z_FINISH, Z_OK, Z_STREAM_END, deflate, deflateEnd,
    deflateInit2_, deflateReset, z_stream, zlibVersion,
};

/// An encoder and its output.
pub struct Zlib {
    /// On the heap, because zlib keeps its address.
    stream: Box<MaybeUninit<z_stream>>,
    out: Vec<u8>,
}

impl Zlib {
    pub fn new(level: i32) -> Self {
        // Zeros let zlib allocate by itself.
        let mut stream = Box::new(MaybeUninit::zeroed());
        let size = i32::try_from(size_of::<z_stream>()).expect("small");
        // SAFETY: zeros are a stream to begin with; it stays where it is and is ended by `drop`.
        let status = unsafe {
            deflateInit2_(
                stream.as_mut_ptr(),
                level,
                Z_DEFLATED,
                -12,
                9,
                Z_DEFAULT_STRATEGY,
                zlibVersion(),
                size,
            )
        };
        assert_eq!(status, Z_OK);
        Self {
            stream,
            out: vec![0; 1 << 17],
        }
    }

    /// How many bytes `data` takes, which is at most 64 KiB long.
    pub fn deflate(&mut self, data: &[u8]) -> usize {
        let stream = self.stream.as_mut_ptr();
        // SAFETY: the stream was made by `new`; both buffers are as long as it is told.
        let (status, length) = unsafe {
            assert_eq!(deflateReset(stream), Z_OK);
            (*stream).next_in = data.as_ptr().cast_mut();
            (*stream).avail_in = u32::try_from(data.len()).expect("a cluster");
            (*stream).next_out = self.out.as_mut_ptr();
            (*stream).avail_out = u32::try_from(self.out.len()).expect("two clusters");
            (deflate(stream, Z_FINISH), (*stream).total_out)
        };
        assert_eq!(status, Z_STREAM_END);
        usize::try_from(length).expect("less than the room")
    }
}

impl Drop for Zlib {
    fn drop(&mut self) {
        // SAFETY: the stream was made by `new`.
        unsafe { deflateEnd(self.stream.as_mut_ptr()) };
    }
}
