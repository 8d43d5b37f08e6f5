// The OpenAPI document of this server in Swagger UI, with the key that the page has, if any.

const $ = (id) => document.getElementById(id);
const KEY = "framestate-key";

function authorization() {
  const key = sessionStorage.getItem(KEY);
  return key ? { authorization: `Bearer ${key}` } : {};
}

async function show() {
  const response = await fetch("openapi.json", { headers: authorization() });
  $("key-form").hidden = response.status !== 401;
  $("problem").hidden = response.ok || response.status === 401;
  if (!response.ok) {
    $("problem").textContent = `The server answered ${response.status}.`;
    return;
  }
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

$("key-form").addEventListener("submit", (event) => {
  event.preventDefault();
  sessionStorage.setItem(KEY, $("key-input").value);
  show();
});
show();
