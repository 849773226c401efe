"""What clients were promised at the last release, and the comparison of what there is now with it.

schema.graphql, openapi.json, released.json   the promise; changed by `make contract` alone
graphql_changes     what has changed in the schema
openapi_changes     what has changed in the OpenAPI description
deprecation         when something that was deprecated may go
__main__            the commands: compare, and take what there is as released
"""
