//! What the build makes of the fragment, whole, so that a change of the
//! fragment shows in one place what it does.

#[test]
fn the_generated_code() {
    insta::assert_snapshot!(include_str!(concat!(env!("OUT_DIR"), "/generated.rs")));
}
