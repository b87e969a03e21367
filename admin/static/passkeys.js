// Passkeys: hands what the page holds to the browser, and the browser's answer to the form. Without it the pages work with passwords.
"use strict";
(() => {
  const blocks = [...document.querySelectorAll("[data-passkey]")];
  if (!blocks.length || !window.PublicKeyCredential || !navigator.credentials) return;
  const bytes = (text) => Uint8Array.from(atob(text.replace(/-/g, "+").replace(/_/g, "/")), (sign) => sign.charCodeAt(0));
  const text = (buffer) =>
    btoa(String.fromCharCode(...new Uint8Array(buffer))).replace(/\+/g, "-").replace(/\//g, "_").replace(/=+$/, "");
  const named = (list) => (list || []).map((one) => ({ ...one, id: bytes(one.id) }));
  const ask = async (kind, options) => {
    options.challenge = bytes(options.challenge);
    if (kind === "use") return navigator.credentials.get({ publicKey: { ...options, allowCredentials: named(options.allowCredentials) } });
    options.user.id = bytes(options.user.id);
    return navigator.credentials.create({ publicKey: { ...options, excludeCredentials: named(options.excludeCredentials) } });
  };
  const written = (made) => {
    const from = made.response;
    const response = { clientDataJSON: text(from.clientDataJSON) };
    if (from.attestationObject) response.attestationObject = text(from.attestationObject);
    if (from.authenticatorData) response.authenticatorData = text(from.authenticatorData);
    if (from.signature) response.signature = text(from.signature);
    if (from.userHandle) response.userHandle = text(from.userHandle);
    return JSON.stringify({ id: made.id, rawId: text(made.rawId), type: made.type, response, clientExtensionResults: {} });
  };
  for (const block of blocks) {
    const button = block.querySelector("[data-passkey-button]");
    const fault = block.querySelector("[role=alert]");
    const form = block.closest("form");
    block.hidden = false;
    for (const other of document.querySelectorAll("[data-passkey-without]")) other.hidden = true;
    button.addEventListener("click", async () => {
      const label = form.querySelector("input[name=label]");
      if (label && !label.reportValidity()) return;
      button.disabled = true;
      fault.hidden = true;
      try {
        const made = await ask(block.dataset.passkey, JSON.parse(block.dataset.options));
        form.querySelector(`input[name="${block.dataset.field}"]`).value = written(made);
        form.action = block.dataset.action || form.action;
        form.submit();
      } catch (error) {
        const known = error.name === "InvalidStateError";
        fault.querySelector("span").textContent = known ? block.dataset.known : block.dataset.fault;
        fault.hidden = false;
        button.disabled = false;
      }
    });
  }
})();
