// The OpenAPI document of this server in Swagger UI, with the key that the page has, if any.

import { $ } from "./elements.js";
import { apiKey, askForKey, authorization, keyIsGood, watchKey } from "./keys.js";

async function show() {
  const response = await fetch("openapi.json", { headers: authorization() });
  if (response.status === 401) return askForKey(apiKey() ? "This is no key of this server." : null);
  $("problem").hidden = response.ok;
  if (!response.ok) {
    $("problem").textContent = `The server answered ${response.status}.`;
    return;
  }
  keyIsGood();
  const spec = await response.json();
  spec.servers = [{ url: new URL(".", location.href).pathname.replace(/\/$/, "") || "/" }]; // whatever proxies do
  window.SwaggerUIBundle({
    spec,
    domNode: $("reference"),
    deepLinking: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      request.headers = { ...authorization(), ...request.headers };
      return request;
    },
  });
}

watchKey(show);
show();
