//! What must hold whoever wrote the input: the properties that are fuzzed, with inputs that are kept (`replay`); the
//! bounds of time and memory (`bounded`); and that nothing leaves its place (`isolation`).

mod bounded;
mod documents;
mod isolation;
#[expect(unreachable_pub, reason = "it is also the library of the fuzz targets")]
mod properties;
mod replay;
