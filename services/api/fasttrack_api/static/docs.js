// No validator badge: it would be fetched from elsewhere.
SwaggerUIBundle({
  url: "/api/v1/openapi.json",
  dom_id: "#docs",
  validatorUrl: null,
  deepLinking: true,
  defaultModelsExpandDepth: 0,
});
