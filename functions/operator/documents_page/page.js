// Shows the document. A token is entered under "Authorize" and forgotten with the page; nothing is asked of another host.
SwaggerUIBundle({
  url: document.body.dataset.document,
  domNode: document.getElementById('page'),
  presets: [SwaggerUIBundle.presets.apis],
  layout: 'BaseLayout',
  deepLinking: true,
  docExpansion: 'list',
  defaultModelsExpandDepth: 0,
  displayRequestDuration: true,
  filter: true,
  persistAuthorization: false,
  tryItOutEnabled: false,
  validatorUrl: null,
});
