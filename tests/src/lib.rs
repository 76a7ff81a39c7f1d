//! What the tests of whole binaries share.
