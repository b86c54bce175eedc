//! One template of a variable, with others of every type to take from.

use kso::producer::kubespray::Input;

use super::kubespray::rendered;

const OTHERS: &str = "text: v1.29.10\nnumber: 3\nfloat: 1.5\nyes_: true\nnothing: null\nlist: [a, b, '{{ text }}']\n\
    map: {a: 1, b: '{{ list }}', '1.29': x}\nchain: '{{ chain2 }}'\nchain2: '{{ map.b[0] }}'\n";

/// A template is rendered or told, whatever it says.
pub fn holds(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else { return };
    let template = serde_json::Value::from(text);
    let file = format!(
        "{OTHERS}x_download_url: {template}\ny_image_repo: quay.io/a\ny_image_tag: {template}\n\
        y_image_name: '{{{{ y_image_repo }}}}:{{{{ y_image_tag }}}}'\n"
    );
    let mut input = Input::default();
    input.checkout.files.insert("download.yml".into(), file.into_bytes());
    rendered(&input);
}
