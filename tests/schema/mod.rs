//! system: holds JSON against the schemas of `doc/schema`.

use std::path::Path;

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Fails unless `value` is as `doc/schema/NAME.json` says.
pub(crate) fn expect(name: &str, value: &Value) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("doc/schema/{name}.json"));
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let schema = compiler.compile(file.to_str().unwrap(), &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, schema) {
        panic!("not as {}: {error:#}\n{value:#}", file.display());
    }
}
