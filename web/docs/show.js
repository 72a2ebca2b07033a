SwaggerUIBundle({
    url: "/openapi.yml",
    dom_id: "#swagger-ui",
    deepLinking: true,
    displayRequestDuration: true,
    // The default asks a validator on another host.
    validatorUrl: null,
});
