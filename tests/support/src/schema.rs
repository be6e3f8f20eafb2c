//! system: holds JSON against the schemas of `doc/schema`.

use boon::{Compiler, Schemas};
use serde_json::Value;

/// Fails unless `value` is as `doc/schema/NAME.json` says.
pub fn expect(name: &str, value: &Value) {
    let file = crate::source(&format!("doc/schema/{name}.json"));
    let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
    compiler.enable_format_assertions();
    let schema = compiler.compile(file.to_str().unwrap(), &mut schemas).unwrap();
    if let Err(error) = schemas.validate(value, schema) {
        panic!("not as {}: {error:#}\n{value:#}", file.display());
    }
}
